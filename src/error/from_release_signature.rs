//! Release signatures and the keys for them.

use super::{Code, Error};
use crate::openpgp::{KeyFileError, KeyProblem, SignatureError};
use crate::openshift::signature::{KeyError, RED_HAT_RELEASE_2, StoreError};

impl From<&StoreError> for Error {
    fn from(error: &StoreError) -> Error {
        match error {
            StoreError::Cancelled => Error::interrupted(),
            StoreError::NoKeys => Error::new(Code::ReleaseSignature, error.to_string()).remedy(where_the_key_is()),
            StoreError::Missing { digest: _, stores: _ } => Error::new(Code::ReleaseSignature, error.to_string()).remedy(
                "check the version; nightly builds and releases of your own are not signed there: carry those with --ignore-release-signature",
            ),
            StoreError::Refused { digest, refused } => {
                let told = Error::new(Code::ReleaseSignature, format!("{digest} has no signature that counts"));
                let told = refused.iter().fold(told, |told, (place, why)| told.detail(place, Code::ReleaseSignature, why));
                match refused.first() {
                    Some((_, why)) => told.remedy(advice(why)),
                    None => told,
                }
            }
            StoreError::Unreachable { digest, stores: _, failures } => {
                let told = Error::new(Code::ReleaseSignature, format!("no signature of {digest} could be had"));
                let told = failures.iter().fold(told, Error::because);
                told.remedy(
                    "check that this machine reaches the store (proxy: HTTPS_PROXY), or give a folder with sha256=HEX/signature-1 in it as a store",
                )
            }
        }
    }
}

impl From<&KeyError> for Error {
    fn from(error: &KeyError) -> Error {
        let told = || Error::new(Code::ReleaseSignature, error.to_string());
        match error {
            KeyError::Fs(inner) => inner.into(),
            KeyError::None { looked: _ } => told().remedy(where_the_key_is()),
            KeyError::File(KeyFileError { file: _, problem: KeyProblem::Private }) => {
                told().remedy("give the public key; keep the private one away from this machine")
            }
            KeyError::File(KeyFileError { file: _, problem: KeyProblem::NoKey | KeyProblem::Damaged | KeyProblem::Unsigned }) => {
                told().remedy(format!("take the key anew from where it is published: {}", where_the_key_is()))
            }
            KeyError::File(KeyFileError { file: _, problem: KeyProblem::Unsupported }) => {
                told().remedy("give an RSA, ECDSA or Ed25519 key of OpenPGP version 4; a newer sealift may know other kinds")
            }
        }
    }
}

/// What helps against one bad signature.
fn advice(error: &SignatureError) -> String {
    match error {
        SignatureError::NoKeys => where_the_key_is(),
        SignatureError::UnknownSigner { key_id } => format!(
            "if {key_id} is a key you trust for releases, give its file with --release-key FILE; releases of OpenShift are signed by {RED_HAT_RELEASE_2}"
        ),
        SignatureError::NotPinned { fingerprint, file } => format!(
            "if you trust it for releases, compare {fingerprint} with what its owner publishes and name the file: --release-key {file}"
        ),
        SignatureError::KeyExpired { .. } => {
            "get the key anew from its owner, who may have moved its end, and give it with --release-key FILE; check this machine's clock"
                .to_owned()
        }
        SignatureError::KeyRevoked { .. } => "do not carry this release: ask its publisher for one signed with the new key".to_owned(),
        SignatureError::KeyUnfit { .. } => "give the key releases are signed with: --release-key FILE".to_owned(),
        SignatureError::Expired { .. } => "get the signature anew from its publisher; check this machine's clock".to_owned(),
        SignatureError::FromTheFuture { .. } => "set this machine's clock (`timedatectl`), then run the same command again".to_owned(),
        SignatureError::WrongDigest { .. } => {
            "the store holds another release's signature under this name: ask another store, or its keeper".to_owned()
        }
        SignatureError::DoesNotHold { .. } | SignatureError::Damaged(_) | SignatureError::Document(_) => {
            "get the signature anew from its publisher; if it stays so, do not carry this release".to_owned()
        }
        SignatureError::WeakHash(_) | SignatureError::WrongType { .. } => {
            "this is no signature of a release: ask another store, or its publisher".to_owned()
        }
    }
}

fn where_the_key_is() -> String {
    format!(
        "on RHEL it is /etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release (copy it from any such machine): --release-key FILE; \
         `gpg --show-keys FILE` must show {RED_HAT_RELEASE_2}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn who_has_no_key_is_told_where_it_is() {
        for error in [Error::from(&StoreError::NoKeys), Error::from(&KeyError::None { looked: vec!["/etc/pki/rpm-gpg".into()] })] {
            assert_eq!(error.code, Code::ReleaseSignature);
            assert!(error.remedy.contains("/etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release") && error.remedy.contains(RED_HAT_RELEASE_2));
        }
    }

    #[test]
    fn every_bad_signature_is_listed_and_the_first_decides_what_to_do() {
        let digest = Digest::sha256(b"x");
        let refused = vec![
            ("store/signature-1".to_owned(), SignatureError::FromTheFuture { created: 2_000_000_000, now: 1_000_000_000 }),
            ("store/signature-2".to_owned(), SignatureError::NoKeys),
        ];
        let error = Error::from(&StoreError::Refused { digest, refused });
        assert_eq!((error.details.len(), error.details[0].subject.as_str()), (2, "store/signature-1"));
        assert!(error.remedy.contains("timedatectl") && error.details[0].error.contains("2033-05-18T03:33:20Z"), "{error}");
        assert_eq!(Error::from(&StoreError::Cancelled).code, Code::Interrupted);
    }
}
