//! The ledger: what this side remembers.

use super::{Code, Error};
use crate::format::{Fork, FormatError};
use crate::ledger::LedgerError;

impl From<&LedgerError> for Error {
    fn from(error: &LedgerError) -> Error {
        let told = |code| Error::from_chain(code, error);
        const KEEP: &str = "restore the file from a backup; if there is none, move it away, and the next run asks for --first";
        match error {
            LedgerError::Fs(inner) => inner.into(),
            LedgerError::Document { path: _, error: inner } => match inner {
                FormatError::Schema(_) | FormatError::Requires(_) => {
                    told(Code::FormatUnknown).remedy("use the newer sealift that wrote this ledger")
                }
                FormatError::Malformed { document: _, why: _ } => told(Code::BadDocument).remedy(KEEP),
            },
            LedgerError::Target { path: _, expected: _, found: _ } => told(Code::BadDocument).remedy(KEEP),
            LedgerError::Fork(inner) => inner.as_ref().into(),
            LedgerError::First { stream, target: _, no_ledger } => {
                let told = told(Code::FirstSet).remedy(format!(
                    "compare stream {stream}, sequence and date with what the signer told you, then run again with --first"
                ));
                match no_ledger {
                    true => told.because("this host has no record of the target at all: it is a new host or user, or the record was lost"),
                    false => told,
                }
            }
            LedgerError::Chain { path, line: _, why: _ } => told(Code::BadDocument)
                .remedy(format!("keep {} as evidence, find out who changed it, and move it away: a new log begins", path.display())),
            LedgerError::Reused { stream: _, sequence: _, plan: _ } => {
                told(Code::Usage).remedy("leave out --sequence, or give a higher number: no two sets may carry one")
            }
            LedgerError::NotNewer { stream: _, sequence: _, newest } => told(Code::Usage).remedy(format!(
                "leave out --sequence, or give --sequence {} or higher; an older set is made again from its own content, with its own number",
                newest.saturating_add(1)
            )),
            LedgerError::Jump { stream: _, sequence: _, newest } => {
                told(Code::Usage).remedy(format!("check the clock with `date`; if it is right, give --sequence once, higher than {newest}"))
            }
        }
    }
}

impl From<&Fork> for Error {
    fn from(error: &Fork) -> Error {
        Error::new(Code::Fork, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn every_failure_has_its_code_and_remedy() {
        let digest = Digest::sha256(b"");
        let document = |error| LedgerError::Document { path: "/l".into(), error };
        let fork = Fork { stream: "s".into(), sequence: 1, known: digest, offered: Digest::sha256(b"x") };
        for (error, code, remedy) in [
            (LedgerError::Fs(crate::fs::FsError::new("lock", "/l", rustix::io::Errno::AGAIN)), Code::InUse, "wait"),
            (document(FormatError::Schema(2)), Code::FormatUnknown, "newer"),
            (document(FormatError::Malformed { document: "ledger", why: "x".into() }), Code::BadDocument, "--first"),
            (LedgerError::Target { path: "/l".into(), expected: "a".into(), found: "b".into() }, Code::BadDocument, "backup"),
            (LedgerError::Fork(Box::new(fork)), Code::Fork, "SHA-256"),
            (LedgerError::First { stream: "ocp4".into(), target: "r".into(), no_ledger: true }, Code::FirstSet, "stream ocp4"),
            (LedgerError::Chain { path: "/l".into(), line: 2, why: "x".into() }, Code::BadDocument, "evidence"),
            (LedgerError::Reused { stream: "s".into(), sequence: 1, plan: digest }, Code::Usage, "--sequence"),
            (LedgerError::NotNewer { stream: "s".into(), sequence: 6, newest: 7 }, Code::Usage, "--sequence 8"),
            (LedgerError::Jump { stream: "s".into(), sequence: 9, newest: 1 }, Code::Usage, "`date`"),
        ] {
            let error = Error::from(&error);
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
        }
    }
}
