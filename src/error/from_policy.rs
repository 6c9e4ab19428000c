//! Signature policies.

use super::{Code, Error};
use crate::policy::{PolicyError, Refused};

impl From<&Refused> for Error {
    fn from(error: &Refused) -> Error {
        Error::new(Code::PolicyRefused, error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_bad_documents_are_told_apart() {
        let refused = Error::from(&Refused { scope: "default".into(), why: "no signature".into() });
        assert_eq!((refused.code, refused.code.exit()), (Code::PolicyRefused, 19));
        let bad = Error::from(&PolicyError::Malformed("x".into()));
        assert!(bad.code == Code::BadDocument && bad.remedy.contains("containers-policy.json(5)"));
    }
}
