//! `?` gives errors by value; what they mean is decided by reference.

use super::Error;

macro_rules! by_value {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::from(&error)
            }
        })*
    };
}

by_value!(
    crate::archive::Damage,
    crate::archive::OpenError,
    crate::codec::frame::CodecError,
    crate::format::Fork,
    crate::format::FormatError,
    crate::fs::FsError,
    crate::gather::GatherError,
    crate::image_set::Collision,
    crate::image_set::DestinationError,
    crate::image_set::ImageSetError,
    crate::image_set::SizeError,
    crate::image_set::SourceError,
    crate::keystore::KeystoreError,
    crate::ledger::LedgerError,
    crate::pack::Error,
    crate::origin::OriginError,
    crate::registry::certs::TlsError,
    crate::registry::credentials::CredentialError,
    crate::serve::Error,
    crate::sign::SignError,
    crate::sign::TrustFileError,
    crate::web::WebError,
    crate::sign::VerifyError<crate::format::FormatError>,
);
