//! temporary
use super::{Code, Error};
macro_rules! tmp { ($($t:ty),*) => { $(impl From<$t> for Error { fn from(e: $t) -> Error { Error::from_chain(Code::Unclassified, &e) } })* } }
tmp!(
    crate::archive::Error,
    crate::archive::OpenError,
    crate::pack::Error,
    crate::layout::Error,
    crate::keystore::KeystoreError,
    crate::image_set::ImageSetError,
    crate::image_set::SourceError,
    crate::ledger::LedgerError,
    crate::registry::Error,
    crate::format::FormatError
);
impl From<&crate::pack::Failure> for super::Detail {
    fn from(f: &crate::pack::Failure) -> Self {
        super::Detail { subject: f.name.clone(), code: Code::Unclassified, error: f.reason.to_string() }
    }
}
