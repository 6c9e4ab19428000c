//! Where signatures lie: `STORE/sha256=HEX/signature-N`, N from 1 on without a gap.

use super::{StoreError, StoreFailure};
use crate::digest::Digest;
use crate::fs::{Dir, FsError, Trouble};
use crate::limits::{RELEASE_SIGNATURE_BYTES, RELEASE_SIGNATURES};
use crate::openpgp::{ImageSignature, Keyring, SignatureError, verify};
use crate::text::{shown, without_userinfo};
use crate::web::{Get, Web, WebError};
use std::path::Path;

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
        let end = match store.strip_prefix("file://") {
            Some(folder) => question.folder(Path::new(folder), &mut haul),
            None if is_address(store) => question.address(store, web, &mut haul),
            None => question.folder(Path::new(store), &mut haul),
        };
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
    let stores = || stores.iter().map(|store| name(store)).collect();
    match (refused.is_empty(), failures.is_empty()) {
        (false, _) => Err(StoreError::Refused { digest, refused }),
        (true, false) => Err(StoreError::Unreachable { digest, stores: stores(), failures }),
        (true, true) => Err(StoreError::Missing { digest, stores: stores() }),
    }
}

impl Question<'_> {
    fn address(&self, store: &str, web: &dyn Web, haul: &mut Haul) -> Result<(), StoreFailure> {
        for number in 1..=RELEASE_SIGNATURES {
            let url = self.url(store, number);
            match web.get(&Get { url: &url, accept: "", limit: RELEASE_SIGNATURE_BYTES, login: false }) {
                Ok(message) => self.judge(number, name(&url), &message, haul),
                Err(WebError::NotFound(_)) => return Ok(()),
                Err(WebError::TooLong { url, .. }) => haul.refused.push((url, SignatureError::Damaged("it is too long"))),
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }

    /// The address of a signature; a query (of a store with signed addresses) stays behind it.
    fn url(&self, store: &str, number: u32) -> String {
        let (base, query) = store.split_at_checked(store.find('?').unwrap_or(store.len())).unwrap_or((store, ""));
        format!("{}/{}/signature-{number}{query}", base.trim_end_matches('/'), self.folder_name())
    }

    fn folder_name(&self) -> String {
        format!("{}={}", self.digest.algorithm().name(), self.digest.hex())
    }

    fn folder(&self, path: &Path, haul: &mut Haul) -> Result<(), StoreFailure> {
        let dir = Dir::open(path)?;
        let files = match dir.open_sub(&self.folder_name()) {
            Ok(sub) => (1..=RELEASE_SIGNATURES).map(|number| (sub.clone(), format!("signature-{number}"))).collect(),
            Err(e) if e.trouble() == Trouble::Absent => self.beside(&dir)?,
            Err(e) => return Err(e.into()),
        };
        for (number, (dir, file)) in (1..).zip(files) {
            let place = shown(&dir.join(&file).to_string_lossy()).to_string();
            match dir.size_of(&file)? {
                None => return Ok(()),
                Some(size) if size > RELEASE_SIGNATURE_BYTES => haul.refused.push((place, SignatureError::Damaged("it is too long"))),
                Some(_) => self.judge(number, place, &dir.read(&file, RELEASE_SIGNATURE_BYTES)?, haul),
            }
        }
        Ok(())
    }

    /// Files `[NAME-]sha256-HEX[-N]`, sorted by name.
    fn beside(&self, dir: &Dir) -> Result<Vec<(Dir, String)>, FsError> {
        let wanted = format!("{}-{}", self.digest.algorithm().name(), self.digest.hex());
        let is_one = |name: &str| {
            let number = |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok());
            name.rsplit_once(&wanted).is_some_and(|(before, after)| (before.is_empty() || before.ends_with('-')) && number(after))
        };
        let entries = dir.list()?.into_iter().filter(|entry| entry.regular && is_one(&entry.name));
        Ok(entries.take(RELEASE_SIGNATURES as usize).map(|entry| (dir.clone(), entry.name)).collect())
    }

    fn judge(&self, number: u32, place: String, message: &[u8], haul: &mut Haul) {
        match verify(message, self.digest, self.keyring, self.now) {
            Ok(signature) => haul.good.push((number, signature)),
            Err(error) => haul.refused.push((place, error)),
        }
    }
}

fn is_address(store: &str) -> bool {
    let scheme = store.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// A store or an address as it may be shown: without login and query.
fn name(store: &str) -> String {
    let base = if is_address(store) { store.split(['?', '#']).next().unwrap_or_default() } else { store };
    shown(&without_userinfo(base)).to_string()
}
