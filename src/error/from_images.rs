//! Images that are looked into, and images that are made.

use super::{Code, Error, Side, io, layout};
use crate::openshift::files::FilesError;
use crate::origin::FetchError;

/// What keeps a blob from the workspace. Wrong bytes are the source's; the layout's own trouble is ours.
impl From<&FetchError> for Error {
    fn from(error: &FetchError) -> Error {
        match error {
            FetchError::Origin(inner) => inner.into(),
            FetchError::Workspace(inner) => layout(inner, Side::Source),
            FetchError::Read(inner) => io(inner, Side::Source),
        }
    }
}

impl From<&FilesError> for Error {
    fn from(error: &FilesError) -> Error {
        let told = || Error::new(Code::ContentInvalid, error.to_string());
        match error {
            FilesError::Interrupted => Error::interrupted(),
            FilesError::Fetch(inner) => inner.into(),
            FilesError::Origin(inner) => inner.into(),
            FilesError::Fs(inner) => inner.into(),
            FilesError::Workspace(inner) => layout(inner, Side::Source),
            FilesError::NoImage { digest: _, why: _ } => told().remedy("name an image with a file system (a catalog, a release)"),
            FilesError::Config { digest: _, why: _ }
            | FilesError::Layer { digest: _, why: _ }
            | FilesError::Link { path: _, target: _ } => {
                told().remedy("tell who publishes that image; leave it out, or take another version of it")
            }
            // Our own errors inside of it keep their meaning; words about content are the content's.
            FilesError::Visitor { path: _, error: inner } => match io(inner, Side::Source) {
                known if known.code != Code::Unclassified => known,
                _ => told(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::fs::FsError;
    use std::io;

    #[test]
    fn what_cannot_be_read_of_an_image_has_its_code() {
        let digest = Digest::sha256(b"");
        let wrong = || crate::blob::Wrong::Short { digest, expected: 2, found: 1 };
        let visitor = |error| FilesError::Visitor { path: "configs/x".into(), error };
        for (error, code) in [
            (FilesError::Interrupted, Code::Interrupted),
            (FetchError::Read(wrong().into_io()).into(), Code::SourceWrong),
            (FetchError::Read(io::ErrorKind::Interrupted.into()).into(), Code::Interrupted),
            (FetchError::Workspace(FsError::new("write", "/w", rustix::io::Errno::NOSPC).into()).into(), Code::NoSpace),
            (crate::origin::OriginError::Depth(digest).into(), Code::CannotCarry),
            (FilesError::Layer { digest, why: "x".into() }, Code::ContentInvalid),
            (FilesError::Link { path: "a".into(), target: "b".into() }, Code::ContentInvalid),
            (FilesError::Config { digest, why: "x".into() }, Code::ContentInvalid),
            (FilesError::NoImage { digest, why: "x".into() }, Code::ContentInvalid),
            (crate::layout::Error::Wrong(wrong()).into(), Code::SourceWrong),
            (visitor(io::Error::other("two heads")), Code::ContentInvalid),
            (visitor(FsError::new("write", "/w", rustix::io::Errno::NOSPC).into_io()), Code::NoSpace),
        ] {
            let told = Error::from(&error);
            assert_eq!(told.code, code, "{told}");
            assert!(!told.remedy.is_empty(), "{told}");
        }
    }
}
