//! Keys, the agent and the trust files.

use super::from_sign::{key_remedy, line_remedy};
use super::{Code, Error};
use crate::keystore::{KeyFileProblem, KeystoreError};
use crate::sign::KeyError;

impl From<&KeystoreError> for Error {
    fn from(error: &KeystoreError) -> Error {
        if let KeystoreError::File(inner) = error {
            return inner.into();
        }
        // Who asks for passphrases says why there is none.
        if let KeystoreError::NoPassphrase { path: _, source } = error
            && let Some(inner) = source.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
        {
            return inner.clone();
        }
        let (code, remedy) = meaning(error);
        let told = Error::from_chain(code, error);
        match remedy {
            Some(remedy) => told.remedy(remedy),
            None => told,
        }
    }
}

/// Code, and a remedy where the one of the code is not good enough.
fn meaning(error: &KeystoreError) -> (Code, Option<String>) {
    let with = |code, remedy: &str| (code, Some(remedy.to_owned()));
    match error {
        KeystoreError::File(_) => (Code::Unclassified, None),
        KeystoreError::BadName { name: _ } => with(Code::Usage, "name it with a-z, 0-9 and . _ -; a path must contain a slash (./KEY)"),
        KeystoreError::Exists { path: _ } => with(Code::NotEmpty, "choose another name, or move the old key away yourself"),
        KeystoreError::NoSuchKey { path: _ } => with(
            Code::BadKey,
            "`sealift key show` lists the stored keys, `sealift key generate NAME` makes one; a path must contain a slash",
        ),
        KeystoreError::Exposed { path, mode: _ } => (Code::BadKey, Some(format!("`chmod 600 {}`", path.display()))),
        KeystoreError::KeyFile { path, why } => (Code::BadKey, file_remedy(why, &path.display().to_string())),
        KeystoreError::WrongPassphrase { path: _ } => {
            with(Code::BadKey, "run again with the right passphrase: --passphrase-file FILE, SEALIFT_PASSPHRASE, or type it")
        }
        KeystoreError::NoPassphrase { path: _, source: _ } => with(Code::Usage, "give --passphrase-file FILE or set SEALIFT_PASSPHRASE"),
        KeystoreError::EmptyPassphrase => with(Code::Usage, "leave out --with-passphrase for a key without one"),
        KeystoreError::BadOwner => with(Code::Usage, "give a shorter name in one line: --owner NAME"),
        KeystoreError::PublicKey { text: _, source } => (Code::BadKey, Some(public_remedy(source))),
        KeystoreError::Random(_) => with(Code::Unclassified, "wait until the system has gathered randomness, then run again"),
        KeystoreError::Encode(_) => (Code::Bug, None),
        KeystoreError::NoAgent { key: _ } => with(Code::BadKey, "start an ssh-agent, `ssh-add` the key, and keep SSH_AUTH_SOCK set"),
        KeystoreError::Agent { socket: _, source: _ } => {
            with(Code::BadKey, "see whether `ssh-add -l` reaches the agent; SSH_AUTH_SOCK must name its socket")
        }
        KeystoreError::AgentAnswer { socket: _, why: _ } => with(Code::BadKey, "use the ssh-agent of OpenSSH, or a key file"),
        KeystoreError::NotInAgent { socket: _, key } => {
            (Code::BadKey, Some(format!("add the key with `ssh-add FILE`; `ssh-add -l` must list {key}")))
        }
        KeystoreError::AgentRefused { socket: _, key: _ } => {
            with(Code::BadKey, "unlock the agent (`ssh-add -X`), confirm the request or touch the token, then run again")
        }
        KeystoreError::TrustFile { path: _, source } => (Code::BadTrust, Some(line_remedy(&source.why))),
        KeystoreError::BadPrincipals { text: _ } => with(Code::Usage, "write them as stream:ocp4,stream:tools-*, in quotes"),
        KeystoreError::AlreadyTrusted { key: _, principals: _, line: _ } => {
            with(Code::NotEmpty, "nothing to do: `sealift trust list` shows the line")
        }
        KeystoreError::OtherOwner { key, owner: _, line: _ } => {
            (Code::Usage, Some(format!("give --owner as it stands there, or first `sealift trust remove {key}`")))
        }
        KeystoreError::NotTrusted { what: _ } => with(Code::Usage, "`sealift trust list` shows fingerprints and line numbers"),
        KeystoreError::Revoked { key: _ } => {
            with(Code::KeyRevoked, "use another key; a revocation is taken back only by editing revoked_keys by hand")
        }
        KeystoreError::Policy { source } => (Code::Usage, Some(line_remedy(&source.why))),
    }
}

fn file_remedy(why: &KeyFileProblem, path: &str) -> Option<String> {
    match why {
        KeyFileProblem::OtherFormat(_) => Some(format!("convert a copy of it: `ssh-keygen -p -f {path}` writes the OpenSSH format")),
        KeyFileProblem::PublicHalf => Some(format!(
            "give the private half ({}), or the public one as agent:{path}",
            path.strip_suffix(".pub").unwrap_or("without .pub")
        )),
        KeyFileProblem::NotAKey => None,
        KeyFileProblem::Damaged(_) => Some("restore the file from a copy, or make another key with `sealift key generate NAME`".into()),
        KeyFileProblem::Kind(error) => Some(key_remedy(error)),
        KeyFileProblem::Token => Some(format!("add it to the ssh-agent (`ssh-add {path}`) and sign with --key agent:{path}.pub")),
        KeyFileProblem::Cipher(_) => Some(format!("encrypt it anew with the usual cipher: `ssh-keygen -p -Z aes256-ctr -f {path}`")),
        KeyFileProblem::Rounds { found: _ } => Some(format!("encrypt it anew with fewer rounds: `ssh-keygen -p -a 24 -f {path}`")),
    }
}

fn public_remedy(error: &KeyError) -> String {
    match error {
        KeyError::Malformed(_) => "give a .pub file, or the quoted line `sealift key show` prints".into(),
        KeyError::Rsa(_) | KeyError::Certificate(_) | KeyError::UnknownKind(_) | KeyError::KindMismatch { .. } | KeyError::Point => {
            key_remedy(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::FsError;
    use crate::sign::{LineProblem, PublicKey, TrustFileError};
    use std::io;
    use std::path::PathBuf;

    #[test]
    fn every_failure_has_its_code_and_remedy() {
        let key = PublicKey::ed25519([7; 32]).fingerprint();
        let path = || PathBuf::from("/k/site");
        let file = |why| KeystoreError::KeyFile { path: path(), why };
        let line = || TrustFileError { line: 2, why: LineProblem::NoNamespaces };
        for (error, code, remedy) in [
            (FsError::new("write", "/k", io::Error::from(rustix::io::Errno::NOSPC)).into(), Code::NoSpace, "make room"),
            (KeystoreError::BadName { name: "../x".into() }, Code::Usage, "slash"),
            (KeystoreError::Exists { path: path() }, Code::NotEmpty, "another name"),
            (KeystoreError::NoSuchKey { path: path() }, Code::BadKey, "sealift key show"),
            (KeystoreError::Exposed { path: path(), mode: 0o644 }, Code::BadKey, "`chmod 600 /k/site`"),
            (file(KeyFileProblem::OtherFormat("PEM")), Code::BadKey, "ssh-keygen -p -f /k/site"),
            (file(KeyFileProblem::PublicHalf), Code::BadKey, "agent:"),
            (file(KeyFileProblem::NotAKey), Code::BadKey, "sealift key show"),
            (file(KeyFileProblem::Damaged("x")), Code::BadKey, "restore"),
            (file(KeyFileProblem::Kind(KeyError::Rsa("ssh-rsa".into()))), Code::BadKey, "Ed25519"),
            (file(KeyFileProblem::Token), Code::BadKey, "agent:"),
            (file(KeyFileProblem::Cipher("x".into())), Code::BadKey, "-Z aes256-ctr"),
            (file(KeyFileProblem::Rounds { found: 9 }), Code::BadKey, "-a 24"),
            (KeystoreError::WrongPassphrase { path: path() }, Code::BadKey, "--passphrase-file"),
            (KeystoreError::NoPassphrase { path: path(), source: io::ErrorKind::Other.into() }, Code::Usage, "SEALIFT_PASSPHRASE"),
            (KeystoreError::EmptyPassphrase, Code::Usage, "--with-passphrase"),
            (KeystoreError::BadOwner, Code::Usage, "--owner"),
            (KeystoreError::PublicKey { text: "x".into(), source: KeyError::Malformed("x") }, Code::BadKey, ".pub"),
            (KeystoreError::NoAgent { key: "k".into() }, Code::BadKey, "SSH_AUTH_SOCK"),
            (KeystoreError::Agent { socket: path(), source: io::ErrorKind::NotFound.into() }, Code::BadKey, "ssh-add -l"),
            (KeystoreError::AgentAnswer { socket: path(), why: "x" }, Code::BadKey, "OpenSSH"),
            (KeystoreError::NotInAgent { socket: path(), key }, Code::BadKey, "ssh-add FILE"),
            (KeystoreError::AgentRefused { socket: path(), key }, Code::BadKey, "ssh-add -X"),
            (KeystoreError::TrustFile { path: path(), source: line() }, Code::BadTrust, "sealift trust add"),
            (KeystoreError::BadPrincipals { text: "ocp4".into() }, Code::Usage, "stream:ocp4"),
            (KeystoreError::AlreadyTrusted { key, principals: "stream:x".into(), line: 1 }, Code::NotEmpty, "nothing to do"),
            (KeystoreError::OtherOwner { key, owner: "ann".into(), line: 1 }, Code::Usage, "--owner"),
            (KeystoreError::NotTrusted { what: "number 9".into() }, Code::Usage, "sealift trust list"),
            (KeystoreError::Revoked { key }, Code::KeyRevoked, "another key"),
            (KeystoreError::Policy { source: line() }, Code::Usage, "sealift trust"),
        ] {
            let error = Error::from(&error);
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
        }
    }
}
