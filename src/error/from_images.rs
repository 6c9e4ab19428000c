//! Images that are looked into, and images that are made.

use super::{Code, Error, Side, io, layout};
use crate::openshift::build::BuildError;
use crate::openshift::catalog::CatalogError;
use crate::openshift::files::FilesError;
use crate::openshift::graph_image::GraphImageError;
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

impl From<&BuildError> for Error {
    fn from(error: &BuildError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            BuildError::Workspace(inner) => layout(inner, Side::Target),
            BuildError::Fs(inner) => inner.into(),
            BuildError::Content { path: _, error: inner } => match io(inner, Side::Source) {
                known if known.code != Code::Unclassified => known,
                _ => told(Code::ContentInvalid),
            },
            BuildError::Path { path: _, why: _ } => {
                told(Code::ContentInvalid).remedy("leave out what has that name, or tell who publishes it")
            }
            BuildError::Document { digest: _, why: _ } => {
                told(Code::ContentInvalid).remedy("tell who publishes that image; take another version of it")
            }
        }
    }
}

impl From<&CatalogError> for Error {
    fn from(error: &CatalogError) -> Error {
        let told = || Error::new(Code::ContentInvalid, error.to_string());
        match error {
            CatalogError::Files(inner) => inner.into(),
            CatalogError::Build(inner) => inner.into(),
            CatalogError::Database { digest: _ } => {
                told().remedy("take a current version of the catalog: it is published as a file-based one")
            }
            CatalogError::NoCatalog { digest: _ } => told().remedy("name an operator catalog; other images belong under additionalImages"),
            CatalogError::Folder { digest: _, folder: _ } => told().remedy("tell who publishes that catalog; take another version of it"),
        }
    }
}

impl From<&GraphImageError> for Error {
    fn from(error: &GraphImageError) -> Error {
        let told = || Error::new(Code::ContentInvalid, error.to_string());
        match error {
            GraphImageError::NoArchive { begin: _ } => {
                told().remedy("a proxy or server answers with a page of its own: open the address by hand")
            }
            GraphImageError::Damaged { why: _ } => told().remedy("run the same command again; if it stays so, fetch the data by hand"),
            GraphImageError::Content { why: _ } => told().remedy("give the address or the file of the update graph data itself"),
            GraphImageError::NoBase { digest: _ } => told().remedy("name a base image with a shell for the platforms of the cluster"),
            GraphImageError::Files(inner) => inner.into(),
            GraphImageError::Build(inner) => inner.into(),
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

    #[test]
    fn what_cannot_be_built_has_its_code() {
        let digest = Digest::sha256(b"");
        let full = || FsError::new("write", "/w", rustix::io::Errno::NOSPC);
        let files = |error| CatalogError::Files(error);
        for (error, code) in [
            (files(FilesError::Interrupted), Code::Interrupted),
            (BuildError::Workspace(full().into()).into(), Code::NoSpace),
            (BuildError::Fs(full()).into(), Code::NoSpace),
            (BuildError::Content { path: "a".into(), error: full().into_io() }.into(), Code::NoSpace),
            (BuildError::Content { path: "a".into(), error: io::Error::other("x") }.into(), Code::ContentInvalid),
            (BuildError::Path { path: "..".into(), why: "x" }.into(), Code::ContentInvalid),
            (BuildError::Document { digest, why: "x".into() }.into(), Code::ContentInvalid),
            (CatalogError::Database { digest }, Code::ContentInvalid),
            (CatalogError::NoCatalog { digest }, Code::ContentInvalid),
            (CatalogError::Folder { digest, folder: "/".into() }, Code::ContentInvalid),
        ] {
            let told = Error::from(&error);
            assert_eq!(told.code, code, "{told}");
            assert!(!told.remedy.is_empty(), "{told}");
        }
    }

    #[test]
    fn what_keeps_the_graph_from_being_carried_has_its_code() {
        for error in [
            GraphImageError::NoArchive { begin: "<html>".into() },
            GraphImageError::Damaged { why: "x".into() },
            GraphImageError::Content { why: "x".into() },
            GraphImageError::NoBase { digest: Digest::sha256(b"") },
        ] {
            let told = Error::from(&error);
            assert!(told.code == Code::ContentInvalid && !told.remedy.is_empty(), "{told}");
        }
        assert_eq!(Error::from(&GraphImageError::from(FilesError::Interrupted)).code, Code::Interrupted);
        assert_eq!(Error::from(&GraphImageError::from(BuildError::Path { path: "a".into(), why: "x" })).code, Code::ContentInvalid);
    }
}
