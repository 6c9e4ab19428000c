//! Signature policies.

use super::{Code, Error};
use crate::lookaside::{ConfigError, Fault};
use crate::policy::{Lack, PolicyError, Refused};

impl From<&Refused> for Error {
    fn from(error: &Refused) -> Error {
        let told = Error::new(Code::PolicyRefused, error.to_string());
        match &error.lack {
            None => told,
            Some(Lack::NoStore) => told.remedy(
                "say where its OpenPGP signatures lie: --lookaside URL|DIR, or a lookaside in /etc/containers/registries.d \
                 (containers-registries.d(5))",
            ),
            Some(Lack::NotCarried(_)) => told.remedy(
                "plan and pack it again where its lookaside is known (--lookaside URL|DIR, or containers-registries.d(5)): its \
                 signatures are carried then",
            ),
            Some(Lack::MadeElsewhere) => {
                told.remedy("give the ImageSet itself in place of the saved plan, or plan again on this machine with the same --workspace")
            }
            Some(Lack::Other(_)) => {
                told.remedy("check that this machine reaches the lookaside (proxy: HTTPS_PROXY), or name another with --lookaside URL|DIR")
            }
        }
    }
}

impl From<&PolicyError> for Error {
    fn from(error: &PolicyError) -> Error {
        match error {
            PolicyError::Malformed(_) | PolicyError::Requirement { scope: _, why: _ } => Error::new(Code::BadDocument, error.to_string())
                .remedy("correct the policy where the error points; its form is that of containers-policy.json(5)"),
        }
    }
}

impl From<&ConfigError> for Error {
    fn from(error: &ConfigError) -> Error {
        match error {
            ConfigError::File(inner) => inner.into(),
            ConfigError::Content { path: _, fault: Fault::Syntax(_) | Fault::Twice(_) | Fault::Store(_) } => {
                Error::new(Code::BadDocument, error.to_string())
                    .remedy("correct it (containers-registries.d(5)), or give another folder with --registries-d")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_bad_documents_are_told_apart() {
        let refused = Error::from(&Refused { scope: "default".into(), why: "no signature".into(), lack: None });
        assert_eq!((refused.code, refused.code.exit()), (Code::PolicyRefused, 19));
        let nowhere = Error::from(&Refused { scope: "default".into(), why: "x".into(), lack: Some(Lack::NoStore) });
        assert!(nowhere.code == Code::PolicyRefused && nowhere.remedy.contains("registries.d"), "{nowhere}");
        let bad = Error::from(&PolicyError::Malformed("x".into()));
        assert!(bad.code == Code::BadDocument && bad.remedy.contains("containers-policy.json(5)"));
    }
}
