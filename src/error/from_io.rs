//! I/O errors: what our own readers and writers put into them is taken out again.

use super::from_archive::damage;
use super::from_registry::registry;
use super::{Code, Error};
use crate::archive::Damage;
use crate::blob::Wrong;
use crate::fs::FsError;
use crate::{layout, registry};
use std::io;

/// Where content comes from decides what wrong bytes mean, and which option of the command line helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is being fetched, to be packed: wrong bytes are the source's.
    Source,
    /// It comes from a set or a layout on disk, to be brought in: wrong bytes are damage.
    Target,
}

impl Side {
    /// The code of bytes that are not what their digest says.
    pub(super) fn wrong(self) -> Code {
        match self {
            Side::Source => Code::SourceWrong,
            Side::Target => Code::ContentDamaged,
        }
    }

    /// The option that gives up on TLS.
    pub(super) fn tls_flag(self) -> &'static str {
        match self {
            Side::Source => "--src-tls-verify=false",
            Side::Target => "--dest-tls-verify=false",
        }
    }
}

/// What an I/O error means. Errors of our own inside it ([`FsError`], [`Wrong`], [`Damage`], those of registries and layouts)
/// keep their meaning; of others the system's number decides.
pub fn io(error: &io::Error, side: Side) -> Error {
    let Some(inner) = error.get_ref() else { return by_system(error, side) };
    if let Some(error) = inner.downcast_ref::<FsError>() {
        return error.into();
    }
    if let Some(wrong) = inner.downcast_ref::<Wrong>() {
        return Error::new(side.wrong(), wrong.to_string());
    }
    if let Some(error) = inner.downcast_ref::<Damage>() {
        return damage(error);
    }
    if let Some(error) = inner.downcast_ref::<registry::Error>() {
        return registry(error, side);
    }
    if let Some(error) = inner.downcast_ref::<layout::Error>() {
        return super::from_layout::layout(error, side);
    }
    if let Some(error) = inner.downcast_ref::<Error>() {
        return error.clone();
    }
    by_system(error, side)
}

/// Without an error of our own: by its kind, or by the system's number. No path is known.
fn by_system(error: &io::Error, side: Side) -> Error {
    let code = match error.kind() {
        io::ErrorKind::Interrupted => return Error::interrupted(),
        io::ErrorKind::UnexpectedEof => side.wrong(),
        _ => super::from_fs::code(&FsError::new("use", "", copy(error))),
    };
    Error::new(code, error.to_string())
}

/// I/O errors cannot be cloned; number or kind is what is looked at.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use rustix::io::Errno;

    #[test]
    fn what_was_put_in_is_taken_out() {
        let digest = Digest::sha256(b"");
        let wrong = || Wrong::Short { digest, expected: 2, found: 1 }.into_io();
        let errno = |errno: Errno| io::Error::from(errno);
        for (error, side, code) in [
            (FsError::new("write", "/w", errno(Errno::NOSPC)).into_io(), Side::Source, Code::NoSpace),
            (wrong(), Side::Source, Code::SourceWrong),
            (wrong(), Side::Target, Code::ContentDamaged),
            (Damage::File { path: "/m/x".into() }.into_io(), Side::Target, Code::ContentDamaged),
            (registry::Error::Cancelled.into_io(), Side::Target, Code::Interrupted),
            (io::Error::other(layout::Error::Empty { path: "/l".into() }), Side::Source, Code::SourceMissing),
            (io::Error::other(Error::new(Code::Fork, "two")), Side::Target, Code::Fork),
            (errno(Errno::IO), Side::Target, Code::MediumUnreadable),
            (errno(Errno::NOSPC), Side::Source, Code::NoSpace),
            (io::ErrorKind::Interrupted.into(), Side::Source, Code::Interrupted),
            (io::ErrorKind::UnexpectedEof.into(), Side::Source, Code::SourceWrong),
            (io::Error::other("strange"), Side::Source, Code::Unclassified),
        ] {
            let told = io(&error, side);
            assert_eq!(told.code, code, "{error}");
            assert!(!told.what.is_empty() && !told.remedy.is_empty());
        }
        assert_eq!(io(&io::Error::other("strange"), Side::Source).what, "strange");
    }
}
