//! `sealift verify release:sha256:HEX`: has the publisher signed this release? For whoever wants a proof without a set.

use super::{Context, Outcome, connections, openshift, options, rfc3339};
use crate::digest::Digest;
use crate::error::{Code, Error};
use crate::fs::read_user_file;
use crate::gather::ReleaseSettings;
use crate::oci::Reference;
use crate::openpgp::{self, ImageSignature, Keyring};
use crate::openshift::signature::{PINNED, StoreError, find, find_keys};
use crate::text::shown;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands in front of a release where paths may stand.
const RELEASE: &str = "release:";

/// By what a release is verified.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// File with a signature of the release; nothing is asked for then. May be given several times, and all must hold (default:
    /// the signature stores)
    #[arg(long, value_name = "FILE", help_heading = "Release")]
    pub signature: Vec<PathBuf>,
    /// Store of release signatures: an address or a folder. May be given several times (default: OCP_SIGNATURE_URL, else the public
    /// ones)
    #[arg(long, value_name = "URL|DIR", conflicts_with = "signature", help_heading = "Release")]
    pub signature_store: Vec<String>,
    /// OpenPGP key that signs releases; it is believed because you name it. May be given several times (default:
    /// OCP_SIGNATURE_VERIFICATION_PK, else the keys in /etc/pki/rpm-gpg and in release-keys beside the trust file, of which only
    /// Red Hat's release key counts)
    #[arg(long, value_name = "FILE", help_heading = "Release")]
    pub release_key: Vec<PathBuf>,
    /// Certificates (PEM) of authorities to trust for the stores beside the system's
    #[arg(long, value_name = "FILE", conflicts_with = "signature", help_heading = "Release")]
    pub ca_file: Option<PathBuf>,
}

impl Options {
    fn are_given(&self) -> bool {
        let Options { signature, signature_store, release_key, ca_file } = self;
        !(signature.is_empty() && signature_store.is_empty() && release_key.is_empty() && ca_file.is_none())
    }
}

/// The release that is asked about; `None` when it is about media. `about_media`: an option is given that only media have.
///
/// # Errors
/// `USAGE` when both are mixed, or several releases are named; `BAD_REFERENCE` for a release without a digest.
pub fn asked(paths: &[PathBuf], options: &Options, about_media: bool) -> Result<Option<Digest>, Error> {
    let release = |path: &PathBuf| path.to_str().and_then(|text| text.strip_prefix(RELEASE)).map(str::to_owned);
    let releases: Vec<String> = paths.iter().filter_map(release).collect();
    let usage = |what: &str, remedy: &str| Err(Error::new(Code::Usage, what).remedy(remedy));
    match releases.as_slice() {
        [] if options.are_given() => {
            usage("--signature, --signature-store, --release-key and --ca-file are for a release", "name it as release:sha256:HEX")
        }
        [] => Ok(None),
        [_] if about_media => usage("--deep, --this-medium, --policy and --stream are for media", "leave them out for a release"),
        [one] if paths.len() == 1 => digest(one).map(Some),
        _ => usage("a release is verified by itself", "run sealift verify once for each, and once for the media"),
    }
}

/// `sha256:HEX`, or a reference with a digest.
fn digest(release: &str) -> Result<Digest, Error> {
    let named = release.parse().ok().or_else(|| Reference::parse(release).ok().and_then(|reference| reference.digest));
    named.ok_or_else(|| {
        Error::new(Code::BadReference, format!("{} names no digest, and only digests are signed", shown(release))).remedy(
            "give it as release:sha256:HEX or release:REFERENCE@sha256:HEX; `sealift list releases --channel NAME` shows the digests of \
             versions, which nobody signs",
        )
    })
}

/// Verifies and tells.
///
/// # Errors
/// `RELEASE_SIGNATURE` when no signature is found or one that was named does not hold, and when there is no key; as files and stores
/// fail.
pub fn run(digest: &Digest, given: &Options, ctx: &Context) -> Result<Outcome, Error> {
    let asked = options::OpenShift {
        signature_store: given.signature_store.clone(),
        release_key: given.release_key.clone(),
        ..options::OpenShift::default()
    };
    let settings = openshift::releases(&asked, ctx);
    let keyring = find_keys(&settings.keys, settings.keys_named)?;
    let (good, trouble) = match given.signature.is_empty() {
        true => (from_stores(digest, given, &settings, &keyring, ctx)?, None),
        false => from_files(digest, &given.signature, &settings, &keyring)?,
    };
    ctx.output.line(&format!("release {digest}"));
    good.iter().for_each(|(place, signature)| tell(place, signature, ctx));
    let signatures: Vec<Value> = good.iter().map(|(place, signature)| object(place, signature)).collect();
    let outcome = Outcome::done().with("release", digest.to_string())?.with("signatures", signatures)?;
    Ok(outcome.but(trouble))
}

/// Signatures that hold, and where each lies.
type Good = Vec<(String, ImageSignature)>;

fn from_stores(digest: &Digest, given: &Options, settings: &ReleaseSettings, keyring: &Keyring, ctx: &Context) -> Result<Good, Error> {
    let access = options::Access { ca_file: given.ca_file.clone(), ..options::Access::default() };
    let conf = connections::registries(ctx, &access)?;
    let web = connections::client(ctx, &access, &conf, None, &Arc::default())?;
    let found = find(digest, &settings.stores, &web, keyring, settings.now)?;
    Ok(found.into_iter().map(|(number, signature)| (format!("signature-{number} of the store"), signature)).collect())
}

/// Each file that was named is to hold: an auditor who gives two wants to know of both.
fn from_files(digest: &Digest, files: &[PathBuf], settings: &ReleaseSettings, keyring: &Keyring) -> Result<(Good, Option<Error>), Error> {
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        let place = shown(&file.to_string_lossy()).to_string();
        match openpgp::verify(&read(file)?, digest, keyring, settings.now) {
            Ok(signature) => good.push((place, signature)),
            Err(why) => refused.push((place, why)),
        }
    }
    let (all, bad) = (files.len(), refused.len());
    if bad == 0 {
        return Ok((good, None));
    }
    let told = Error::from(&StoreError::Refused { digest: *digest, refused });
    Ok(match good.is_empty() {
        true => return Err(told),
        false => (good, Some(Error { what: format!("{bad} of {all} signatures of {digest} do not hold"), ..told })),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    Ok(read_user_file(file)?)
}

fn tell(place: &str, signature: &ImageSignature, ctx: &Context) {
    let name = match signature.signer_names() {
        [] => String::new(),
        [one] => format!(" ({})", shown(one)),
        [first, more @ ..] => format!(" ({}, and {} more names)", shown(first), more.len()),
    };
    let why = match is_known(signature) {
        true => "known to sealift by its fingerprint as the one that signs OpenShift's releases",
        false => "counts because you named its file; compare the fingerprint with what its owner publishes",
    };
    let never = |at: Option<u64>| at.map_or("never".to_owned(), rfc3339);
    ctx.output.line(&format!("good: {place}"));
    for (what, said) in [
        ("signed by", format!("{}{name}", signature.signer())),
        ("key", why.to_owned()),
        ("made", rfc3339(signature.created())),
        ("expires", format!("{} (the key: {})", never(signature.expires()), never(signature.key_expires()))),
        ("signed as", shown(signature.docker_reference()).to_string()),
        ("version", version(signature).unwrap_or("none is named".into())),
    ] {
        ctx.output.line(&format!("  {what:<10} {said}"));
    }
}

fn object(place: &str, signature: &ImageSignature) -> Value {
    json!({
        "place": place, "signer": signature.signer(), "signerNames": signature.signer_names(), "knownKey": is_known(signature),
        "created": rfc3339(signature.created()), "expires": signature.expires().map(rfc3339),
        "keyExpires": signature.key_expires().map(rfc3339), "reference": signature.docker_reference(), "version": version(signature),
    })
}

fn is_known(signature: &ImageSignature) -> bool {
    PINNED.contains(&signature.signer())
}

/// As the signed reference says: its tag, `4.15.0-x86_64`.
fn version(signature: &ImageSignature) -> Option<String> {
    Reference::parse(signature.docker_reference()).ok()?.tag
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0da6316466d60a3a4535d5fed3589feb0391989982fba59d47d4c729912d6363";

    fn of(words: &[&str], options: &Options) -> Result<Option<String>, Code> {
        let paths: Vec<PathBuf> = words.iter().map(PathBuf::from).collect();
        asked(&paths, options, false).map(|digest| digest.map(|digest| digest.to_string())).map_err(|error| error.code)
    }

    #[test]
    fn a_release_is_named_by_its_digest() {
        let (bare, none) = (format!("sha256:{HEX}"), Options::default());
        for word in [format!("release:{bare}"), format!("release:quay.io/x/y@{bare}"), format!("release:quay.io/x/y:4.15.0-x86_64@{bare}")]
        {
            assert_eq!(of(&[&word], &none), Ok(Some(bare.clone())), "{word}");
        }
        assert_eq!(of(&["OUT", "./release:x"], &none), Ok(None));
        for word in ["release:4.15.0", "release:", "release:quay.io/x/y:4.15.0", "release:sha256:0d", "release:Not A Reference"] {
            assert_eq!(of(&[word], &none), Err(Code::BadReference), "{word}");
        }
    }

    #[test]
    fn media_and_releases_are_not_mixed() {
        let release = format!("release:sha256:{HEX}");
        let with = Options { signature: vec!["s".into()], ..Options::default() };
        assert_eq!(of(&["OUT"], &with), Err(Code::Usage));
        assert_eq!(of(&[&release, "OUT"], &with), Err(Code::Usage));
        assert_eq!(of(&[&release, &release], &with), Err(Code::Usage));
        let error = asked(&[PathBuf::from(&release)], &with, true).unwrap_err();
        assert_eq!(error.code, Code::Usage);
    }
}
