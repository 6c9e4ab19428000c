//! Signatures, and whom this side believes.

use super::{Code, Error};
use crate::format::FormatError;
use crate::sign::{KeyError, LineProblem, Rejection, SignError, TrustFileError, VerifyError};
use crate::text::counted;

impl From<&VerifyError<FormatError>> for Error {
    fn from(error: &VerifyError<FormatError>) -> Error {
        verify(error, "NAME")
    }
}

/// What a refused document means. `stream` is the name its file claims to have, for commands in the remedy: nothing else of an
/// unverified document is known.
pub(super) fn verify(error: &VerifyError<FormatError>, stream: &str) -> Error {
    let plain = |code| Error::new(code, error.to_string());
    match error {
        VerifyError::EmptyTrust => plain(Code::KeyringEmpty).remedy(format!(
            "compare the fingerprint of the signer's key by another way than the medium, then `sealift trust add stream:{stream} KEY.pub`"
        )),
        VerifyError::NoSignature => plain(Code::SignatureMissing),
        VerifyError::TooManySignatures { found: _ } => {
            plain(Code::SignatureInvalid).remedy("remove the signature files (.sig2, .sig3 ...) of keys that are not trusted here")
        }
        VerifyError::NoneCounts { rejected } => match rejected.first() {
            Some(first) => {
                let told = rejection(&first.why, error.to_string(), stream);
                rejected.iter().skip(1).fold(told, |told, one| told.because(format!("number {}: {}", one.position + 1, one.why)))
            }
            None => plain(Code::SignatureInvalid),
        },
        VerifyError::Parse(parse) => document(parse, error.to_string()),
        VerifyError::BadStream(_) => plain(Code::FormatUnknown).remedy("tell the signer: a stream is named with 1 to 32 of a-z, 0-9 and -"),
        VerifyError::Audience { meant_for, ours: _ } => plain(Code::AudienceMismatch).remedy(format!(
            "insert the medium meant for this site; if this site is {}, say so with `sealift trust audience {}`",
            meant_for.join(" or "),
            meant_for.first().map_or("LABEL", String::as_str)
        )),
        VerifyError::Threshold { stream, have, need, signers: _, rejected } => {
            let error = plain(Code::SignaturesTooFew).remedy(format!(
                "{} must sign: `sealift sign OUT --key OTHER --stream {stream}`; `sealift trust list` shows who may",
                counted(need.saturating_sub(*have), "more owner")
            ));
            rejected.iter().fold(error, |error, one| error.because(format!("signature {} does not count: {}", one.position + 1, one.why)))
        }
    }
}

/// Why the most telling signature does not count.
fn rejection(why: &Rejection, what: String, stream: &str) -> Error {
    match why {
        Rejection::Mismatch { key: _ } => Error::new(Code::SignatureInvalid, what),
        Rejection::NotForStream { key, stream, allowed: _ } => Error::new(Code::StreamNotTrusted, what)
            .remedy(format!("if the owner of {key} may speak for this stream: `sealift trust add stream:{stream} KEY.pub`")),
        Rejection::Revoked { key: _ } => Error::new(Code::KeyRevoked, what),
        Rejection::Expired { key: _, until: _ } => Error::new(Code::KeyUnknown, what)
            .remedy("have the set signed with a key that is in force, or extend valid-before in allowed_signers (`sealift trust list` shows the line)"),
        Rejection::NotYetValid { key: _, from: _ } => {
            Error::new(Code::KeyUnknown, what).remedy("check the clock of this host with `date`; `sealift trust list` shows the line with its valid-after")
        }
        Rejection::NotForNamespace { key, namespace } => Error::new(Code::KeyUnknown, what).remedy(format!(
            "if {key} may sign this: remove its line (`sealift trust remove {key}`) and add it again, which allows {namespace}"
        )),
        Rejection::UnknownKey { key } => Error::new(Code::KeyUnknown, what)
            .remedy(format!("compare {key} with the signer by another way than the medium, then `sealift trust add stream:{stream} KEY.pub`")),
        Rejection::WrongNamespace { found: _, expected } => {
            Error::new(Code::SignatureInvalid, what).remedy(format!("have the set signed for {expected}: `sealift sign OUT --key NAME`"))
        }
        Rejection::Malformed(_) => Error::new(Code::SignatureInvalid, what),
    }
}

/// A document whose bytes are proven and which still cannot be read: its writer speaks another format, the copy is not at fault.
pub(super) fn document(error: &FormatError, what: String) -> Error {
    let told = Error::new(Code::FormatUnknown, what);
    match error {
        FormatError::Schema(_) => told.remedy("use the sealift version the set was packed with (`sealift --version` on both sides)"),
        FormatError::Requires(feature) => {
            told.remedy(format!("bring in a sealift that knows {feature}, or have the set packed without it"))
        }
        FormatError::Malformed { document: _, why: _ } => {
            told.remedy("have the set packed again with the sealift version of this side; another copy of it would not help")
        }
    }
}

impl From<&SignError> for Error {
    fn from(error: &SignError) -> Error {
        match error {
            SignError::Holder { key: _, source } => match source.downcast_ref::<crate::keystore::KeystoreError>() {
                Some(inner) => {
                    let inner = Error::from(inner);
                    Error { what: error.to_string(), ..inner }
                }
                None => Error::from_chain(Code::BadKey, error),
            },
            SignError::Unacceptable { key: _, source: _ } => Error::from_chain(Code::BadKey, error)
                .remedy("sign with an Ed25519 or ECDSA P-256 key; a token must be set to ask for a touch"),
            SignError::DoesNotVerify { key: _ } => Error::from_chain(Code::BadKey, error)
                .remedy("restart the ssh-agent, add the key again (`ssh-add FILE`), and sign once more"),
        }
    }
}

impl From<&TrustFileError> for Error {
    fn from(error: &TrustFileError) -> Error {
        Error::new(Code::BadTrust, error.to_string()).remedy(line_remedy(&error.why))
    }
}

/// What helps against a line of a trust file that is refused.
pub(super) fn line_remedy(why: &LineProblem) -> String {
    const AGAIN: &str = "remove the line and add the key again with `sealift trust add stream:NAME KEY.pub`";
    match why {
        LineProblem::NotText => "save the file as plain text with line feeds only (`sed -i 's/\\r$//' FILE` removes CR)".into(),
        LineProblem::Principals(_) => "write the streams as stream:NAME, separated by commas without spaces".into(),
        LineProblem::NamespacePattern
        | LineProblem::NoNamespaces
        | LineProblem::Incomplete
        | LineProblem::CertAuthority
        | LineProblem::UnknownOption(_)
        | LineProblem::Options
        | LineProblem::Twice(_) => AGAIN.into(),
        LineProblem::Time(_) => "write times as YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC".into(),
        LineProblem::NeverValid => "correct valid-after and valid-before in that line".into(),
        LineProblem::Key(key) => key_remedy(key),
        LineProblem::TwoOwners { first } => format!("give the key one owner: make this line and line {first} end alike"),
        LineProblem::UnknownStatement(_) => {
            "remove the statement; `sealift trust min-signatures` and `sealift trust audience` write this file".into()
        }
        LineProblem::Threshold => "set it with `sealift trust min-signatures STREAM N`, N from 1 to 16".into(),
        LineProblem::Audience => "set it with `sealift trust audience LABEL`: letters a-z, digits, . _ -".into(),
    }
}

/// What helps against a public key that is refused.
pub(super) fn key_remedy(error: &KeyError) -> String {
    match error {
        KeyError::Rsa(_) | KeyError::UnknownKind(_) => "use an Ed25519 or ECDSA P-256 key: `sealift key generate NAME`".into(),
        KeyError::Certificate(_) => "give the plain public key (ssh-ed25519 AAAA...) instead of the certificate".into(),
        KeyError::KindMismatch { said: _, found: _ } | KeyError::Malformed(_) => {
            "copy the whole line again: kind and base64 as `sealift key show` prints them".into()
        }
        KeyError::Point => "do not use this key: anybody could sign for it; make another with `sealift key generate NAME`".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{Fingerprint, Moment, Namespace, Rejected, SshsigError};

    fn key() -> Fingerprint {
        crate::sign::PublicKey::ed25519([7; 32]).fingerprint()
    }

    #[test]
    fn every_way_a_signature_fails_has_its_code_and_remedy() {
        let key = key();
        let moment = || Moment::parse("20260101").unwrap();
        for (why, code, remedy) in [
            (Rejection::Mismatch { key }, Code::SignatureInvalid, "another medium"),
            (
                Rejection::NotForStream { key, stream: "ocp4".into(), allowed: "stream:tools".into() },
                Code::StreamNotTrusted,
                "`sealift trust add stream:ocp4 KEY.pub`",
            ),
            (Rejection::Revoked { key }, Code::KeyRevoked, "in force"),
            (Rejection::Expired { key, until: moment() }, Code::KeyUnknown, "valid-before"),
            (Rejection::NotYetValid { key, from: moment() }, Code::KeyUnknown, "`date`"),
            (Rejection::NotForNamespace { key, namespace: Namespace::Index }, Code::KeyUnknown, "sealift-index@1"),
            (Rejection::UnknownKey { key }, Code::KeyUnknown, "`sealift trust add stream:site KEY.pub`"),
            (Rejection::WrongNamespace { found: "git".into(), expected: Namespace::Index }, Code::SignatureInvalid, "sealift sign"),
            (Rejection::Malformed(SshsigError::Armor), Code::SignatureInvalid, "another medium"),
        ] {
            let names_key = matches!(why, Rejection::UnknownKey { .. } | Rejection::NotForStream { .. });
            let error = verify(&VerifyError::NoneCounts { rejected: vec![Rejected { position: 0, why }] }, "site");
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
            assert!(!names_key || error.remedy.contains(&key.to_string()), "{error}");
        }
    }

    #[test]
    fn a_refused_document_has_its_code_and_remedy() {
        let parse = |error| VerifyError::Parse(error);
        for (error, code, remedy) in [
            (VerifyError::EmptyTrust, Code::KeyringEmpty, "sealift trust add stream:site"),
            (VerifyError::NoSignature, Code::SignatureMissing, "sealift sign OUT"),
            (VerifyError::TooManySignatures { found: 99 }, Code::SignatureInvalid, "remove"),
            (VerifyError::BadStream("X".into()), Code::FormatUnknown, "a-z"),
            (parse(FormatError::Schema(9)), Code::FormatUnknown, "sealift --version"),
            (parse(FormatError::Requires("parity".into())), Code::FormatUnknown, "parity"),
            (parse(FormatError::Malformed { document: "index", why: "x".into() }), Code::FormatUnknown, "packed again"),
            (
                VerifyError::Audience { meant_for: vec!["lab".into()], ours: Vec::new() },
                Code::AudienceMismatch,
                "`sealift trust audience lab`",
            ),
            (
                VerifyError::Threshold { stream: "ocp4".into(), have: 1, need: 3, signers: Vec::new(), rejected: Vec::new() },
                Code::SignaturesTooFew,
                "2 more owners",
            ),
        ] {
            let error = verify(&error, "site");
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
        }
    }

    #[test]
    fn trust_lines_and_signers() {
        let line = |why| Error::from(&TrustFileError { line: 3, why });
        assert_eq!(line(LineProblem::NoNamespaces).code, Code::BadTrust);
        assert!(line(LineProblem::TwoOwners { first: 1 }).remedy.contains("line 1"));
        assert!(line(LineProblem::Key(KeyError::Rsa("ssh-rsa".into()))).remedy.contains("Ed25519"));
        let refused = crate::keystore::KeystoreError::AgentRefused { socket: "/run/agent".into(), key: key() };
        let error = Error::from(&SignError::Holder { key: key(), source: Box::new(refused) });
        assert_eq!(error.code, Code::BadKey);
        assert!(error.remedy.contains("ssh-add -X"), "{error}");
    }
}
