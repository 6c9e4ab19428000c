//! The embedded registry: what keeps it from starting.

use super::from_layout::layout;
use super::{Code, Error, Side, archive};
use crate::serve::{Error as ServeError, StoreError};
use std::io;

impl From<&ServeError> for Error {
    fn from(error: &ServeError) -> Error {
        let told = |code| Error::from_chain(code, error);
        match error {
            ServeError::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    told(Code::InUse).remedy("choose another port with --listen, or end what listens there (`ss -ltnp`)")
                }
                io::ErrorKind::PermissionDenied => {
                    told(Code::Usage).remedy("ports below 1024 are for root: choose a higher one with --listen")
                }
                io::ErrorKind::AddrNotAvailable => told(Code::Usage)
                    .remedy(format!("{} is no address of this host (`ip address`): use one, or 0.0.0.0 for all", address.ip())),
                _ => told(Code::Unclassified),
            },
            ServeError::Runtime(_) => told(Code::Unclassified),
            ServeError::Unprotected(_) => {
                told(Code::Usage).remedy("give --htpasswd FILE, or --allow-anonymous pull or push, or listen at 127.0.0.1")
            }
            ServeError::NoTls => told(Code::Usage)
                .remedy("give --tls-cert and --tls-key, or --plain-http, or make both with `sealift serve --init DATA --hostname HOST`"),
            ServeError::Certificate { path: _, why: _ } => told(Code::BadKey)
                .remedy("give a certificate and the private key that belongs to it, both PEM (`openssl x509 -text -in FILE`)"),
            ServeError::Users { path, line: _, why: _ } => {
                told(Code::BadDocument).remedy(format!("write the user again: `htpasswd -B {} USER`", path.display()))
            }
            ServeError::Making { what: _, why: _ } => told(Code::Unclassified),
            ServeError::KeyAway { key: _, certificate } => {
                told(Code::FileMissing).remedy(format!("bring the key back, or remove {} to have both made anew", certificate.display()))
            }
            ServeError::NotEmpty(_) => told(Code::NotEmpty).remedy("give an empty folder, or one that --init made before"),
            ServeError::TakesPushes(_) => told(Code::InUse)
                .remedy("end the other one (`pgrep -a sealift`), or give --read-only: beside it any number may serve the folder so"),
            ServeError::Settings { path: _, why: _ } => {
                told(Code::BadDocument).remedy("restore the file, or prepare another folder with `sealift serve --init`")
            }
            ServeError::Store(inner) => store(inner),
            ServeError::Fs(inner) => inner.into(),
        }
    }
}

/// What a store fails with before anybody asks it over the network.
fn store(error: &StoreError) -> Error {
    let told = |code| Error::from_chain(code, error);
    match error {
        StoreError::Layout(inner) => layout(inner, Side::Target),
        StoreError::Archive(inner) => archive(inner, Side::Target),
        StoreError::Fs(inner) => inner.into(),
        StoreError::VolumeMissing(_) => told(Code::VolumeMissing),
        StoreError::Medium(_) => told(Code::MediumUnreadable),
        StoreError::BadManifest(_) | StoreError::TypeMismatch { .. } | StoreError::Incomplete { .. } => told(Code::CannotCarry),
        StoreError::WrongDigest { .. } => told(Code::SourceWrong),
        StoreError::NameUnknown | StoreError::BlobUnknown(_) | StoreError::ManifestUnknown => told(Code::SourceMissing),
        StoreError::UploadUnknown | StoreError::UploadBusy | StoreError::OutOfOrder(_) | StoreError::Needed { .. } | StoreError::Cut => {
            told(Code::Unclassified)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_it_from_starting_has_its_code_and_remedy() {
        let address = "127.0.0.1:80".parse().unwrap();
        let listen = |kind: io::ErrorKind| ServeError::Listen { address, source: kind.into() };
        let path = || std::path::PathBuf::from("/d/x");
        for (error, code, remedy) in [
            (listen(io::ErrorKind::AddrInUse), Code::InUse, "--listen"),
            (listen(io::ErrorKind::PermissionDenied), Code::Usage, "1024"),
            (listen(io::ErrorKind::AddrNotAvailable), Code::Usage, "127.0.0.1"),
            (ServeError::Unprotected(address), Code::Usage, "--htpasswd"),
            (ServeError::NoTls, Code::Usage, "--plain-http"),
            (ServeError::Certificate { path: path(), why: "x".into() }, Code::BadKey, "PEM"),
            (ServeError::Users { path: path(), line: 2, why: "x" }, Code::BadDocument, "htpasswd -B /d/x USER"),
            (ServeError::KeyAway { key: path(), certificate: "/d/x.crt".into() }, Code::FileMissing, "remove /d/x.crt"),
            (ServeError::NotEmpty(path()), Code::NotEmpty, "--init"),
            (ServeError::TakesPushes(path()), Code::InUse, "--read-only"),
            (ServeError::Settings { path: path(), why: "x".into() }, Code::BadDocument, "--init"),
            (StoreError::Medium(io::ErrorKind::Other.into()).into(), Code::MediumUnreadable, ""),
        ] {
            let told = Error::from(&error);
            assert_eq!(told.code, code, "{told}");
            assert!(told.remedy.contains(remedy), "{told}");
        }
    }
}
