//! Where signatures lie: `STORE/sha256=HEX/signature-N`, N from 1 on without a gap.

use super::StoreError;
use crate::digest::Digest;
use crate::fs::Dir;
use crate::limits::{RELEASE_SIGNATURE_BYTES, RELEASE_SIGNATURES};
use crate::lookaside::{Entry, Store, StoreFailure, entry};
use crate::openpgp::{ImageSignature, Keyring, SignatureError, verify};
use crate::web::{Web, WebError};

/// Where Red Hat publishes the signatures of OpenShift's releases; the second is asked when the first has none.
pub const DEFAULT_STORES: [&str; 2] = [
    "https://mirror.openshift.com/pub/openshift-v4/signatures/openshift/release",
    "https://storage.googleapis.com/openshift-release/official/signatures/openshift/release",
];

/// What one store gave.
#[derive(Default)]
struct Haul {
    good: Vec<(u32, ImageSignature)>,
    refused: Vec<(String, SignatureError)>,
}

/// Whom signatures are for, and what they are verified with.
struct Question<'q> {
    digest: &'q Digest,
    keyring: &'q Keyring,
    now: u64,
}

/// The signatures of `digest` that hold, with their numbers, from the first store that has any.
///
/// A store is an `http(s)` address or a folder of this machine (also as `file://`). A folder may hold the signatures side by side
/// as well, in files whose names end in `-sha256-HEX`, with or without `-N` behind it. At most nine are read from a store.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Unreachable`] or [`StoreError::Refused`] when no store has a signature that
/// holds: bad ones weigh more than stores that cannot be asked. [`StoreError::Cancelled`].
pub fn find(
    digest: &Digest,
    stores: &[String],
    web: &dyn Web,
    keyring: &Keyring,
    now: u64,
) -> Result<Vec<(u32, ImageSignature)>, StoreError> {
    let question = Question { digest, keyring, now };
    let (mut refused, mut failures) = (Vec::new(), Vec::new());
    for store in stores {
        let mut haul = Haul::default();
        let end = question.ask(&Store::parse(store), web, &mut haul);
        match end {
            Err(StoreFailure::Web(WebError::Cancelled)) => return Err(StoreError::Cancelled),
            // What was found before the failure counts.
            _ if !haul.good.is_empty() => return Ok(haul.good),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
        refused.extend(haul.refused);
    }
    let digest = *digest;
    let stores = || stores.iter().map(|store| Store::parse(store).name()).collect();
    match (refused.is_empty(), failures.is_empty()) {
        (false, _) => Err(StoreError::Refused { digest, refused }),
        (true, false) => Err(StoreError::Unreachable { digest, stores: stores(), failures }),
        (true, true) => Err(StoreError::Missing { digest, stores: stores() }),
    }
}

impl Question<'_> {
    fn ask(&self, store: &Store, web: &dyn Web, haul: &mut Haul) -> Result<(), StoreFailure> {
        let limits = (RELEASE_SIGNATURES, RELEASE_SIGNATURE_BYTES);
        let found = store.each(&self.folder_name(), limits, web, &mut |entry| self.judge(entry, haul))?;
        match (found, store) {
            (None, Store::Folder(path)) => self.beside(&Dir::open(path)?, haul),
            _ => Ok(()),
        }
    }

    fn folder_name(&self) -> String {
        format!("{}={}", self.digest.algorithm().name(), self.digest.hex())
    }

    /// Files `[NAME-]sha256-HEX[-N]`, sorted by name.
    fn beside(&self, dir: &Dir, haul: &mut Haul) -> Result<(), StoreFailure> {
        let wanted = format!("{}-{}", self.digest.algorithm().name(), self.digest.hex());
        let is_one = |name: &str| {
            let number = |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok());
            name.rsplit_once(&wanted).is_some_and(|(before, after)| (before.is_empty() || before.ends_with('-')) && number(after))
        };
        let entries = dir.list()?.into_iter().filter(|entry| entry.regular && is_one(&entry.name));
        for (number, file) in (1..=RELEASE_SIGNATURES).zip(entries) {
            if let Some(entry) = entry(dir, &file.name, number, RELEASE_SIGNATURE_BYTES)? {
                self.judge(entry, haul);
            }
        }
        Ok(())
    }

    fn judge(&self, Entry { number, place, bytes }: Entry, haul: &mut Haul) {
        let verified = match bytes {
            Some(message) => verify(&message, self.digest, self.keyring, self.now),
            None => Err(SignatureError::Damaged("it is too long")),
        };
        match verified {
            Ok(signature) => haul.good.push((number, signature)),
            Err(error) => haul.refused.push((place, error)),
        }
    }
}
