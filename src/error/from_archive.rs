//! Sets on media: volumes, documents, and what keeps a set from being opened.

use super::from_io::{Side, io};
use super::from_sign::{document, verify};
use super::{Code, Error};
use crate::archive::{Damage, Error as ArchiveError, OpenError};
use crate::codec::frame::CodecError;
use crate::format::{FormatError, SetName};
use std::path::Path;

impl From<&FormatError> for Error {
    /// Of a document that no signature vouches for; one of a set is judged where its path is known.
    fn from(error: &FormatError) -> Error {
        match error {
            FormatError::Schema(_) | FormatError::Requires(_) => document(error, error.to_string()),
            FormatError::Malformed { document: _, why: _ } => Error::new(Code::BadDocument, error.to_string()),
        }
    }
}

impl From<&CodecError> for Error {
    fn from(error: &CodecError) -> Error {
        Error::new(Code::Unclassified, error.to_string())
            .remedy("free memory, or ask for less with a lower --level, then run the same command again")
    }
}

impl From<&Damage> for Error {
    fn from(error: &Damage) -> Error {
        damage(error)
    }
}

/// What damage means: the medium's fault, or that of whoever packed.
pub(super) fn damage(error: &Damage) -> Error {
    let again = |path: &Path| format!("copy {} to the medium again, then `sealift verify {}`", name(path), path.display());
    match error {
        Damage::Block { path, start: _, end: _ } | Damage::File { path } => {
            Error::new(Code::ContentDamaged, error.to_string()).remedy(again(path))
        }
        Damage::Length { path, expected, found } if found < expected => {
            Error::new(Code::ContentDamaged, error.to_string()).because("the copy was cut off").remedy(again(path))
        }
        Damage::Length { path, expected: _, found: _ } => Error::new(Code::ContentDamaged, error.to_string()).remedy(again(path)),
        Damage::Unreadable { path: _, start: _, end: _, why: _ } => Error::new(Code::MediumUnreadable, error.to_string()),
        Damage::Frame { path: _, offset: _, digest: _, why: _ } => Error::new(Code::ContentDamaged, error.to_string())
            .remedy("have the set packed again: the medium is whole, the set was made wrong; another copy would not help"),
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// What an error around volumes means while packing ([`Side::Source`]) or while reading a set ([`Side::Target`]).
pub fn archive(error: &ArchiveError, side: Side) -> Error {
    match error {
        ArchiveError::Fs(inner) => inner.into(),
        ArchiveError::Source { digest: _, source } => Error { what: error.to_string(), ..io(source, side) },
        ArchiveError::VolumeTooSmall { size: _, need } => {
            Error::new(Code::Usage, error.to_string()).remedy(format!("give --volume-size {} or more", at_least(*need)))
        }
        ArchiveError::Codec(inner) => inner.into(),
        ArchiveError::Format { path: _, source } => document(source, error.to_string()),
        ArchiveError::Damaged(inner) => damage(inner),
        ArchiveError::VolumeMissing(_) => Error::new(Code::VolumeMissing, error.to_string()),
        ArchiveError::Interrupted => Error::interrupted(),
    }
}

/// A size for the command line: whole KiB, never too small.
fn at_least(bytes: u64) -> String {
    format!("{}KiB", bytes.div_ceil(1024))
}

impl From<&OpenError> for Error {
    fn from(error: &OpenError) -> Error {
        match error {
            OpenError::Fs(inner) => inner.into(),
            OpenError::NoSet(_) | OpenError::NoIndex { paths: _, volumes: _ } => Error::new(Code::SetMissing, error.to_string()),
            OpenError::TooMany(_) => {
                Error::new(Code::SetAmbiguous, error.to_string()).remedy("give the path of the wanted volume, or a folder with fewer sets")
            }
            OpenError::NotVerified { path, source } => Error { what: error.to_string(), ..verify(source, &claimed_stream(path)) },
            OpenError::Contents(errors) => contents(errors, error.to_string()),
        }
    }
}

/// The stream a file claims to belong to by its name, for commands in a remedy.
fn claimed_stream(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(SetName::parse);
    name.map_or_else(|| "NAME".to_owned(), |(name, _)| name.stream().to_owned())
}

/// Neither copy can be used: the first reason decides; with the second the other copy is known to be of no use.
fn contents(errors: &[ArchiveError], what: String) -> Error {
    match errors.first().map(|first| archive(first, Side::Target)) {
        Some(first) if first.code == Code::FileMissing => Error::new(Code::ContentDamaged, what)
            .because("the contents document is not on the media given")
            .remedy("copy the two .contents files (.contents.json.zst, .contents.copy.json.zst) of the set to the medium again"),
        Some(first) => Error { what, ..first },
        None => Error::new(Code::ContentDamaged, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Wrong;
    use crate::digest::Digest;
    use crate::fs::FsError;
    use crate::sign::VerifyError;
    use std::path::PathBuf;

    fn check(error: &Error, code: Code, remedy: &str) {
        assert_eq!(error.code, code, "{error}");
        assert!(error.remedy.contains(remedy), "{error}");
    }

    #[test]
    fn damage_says_what_to_copy() {
        let digest = Digest::sha256(b"");
        let path = || PathBuf::from("/m/site-1-0003.tar.zst");
        for (damage, code, remedy) in [
            (Damage::Block { path: path(), start: 0, end: 9 }, Code::ContentDamaged, "`sealift verify /m/site-1-0003.tar.zst`"),
            (Damage::Length { path: path(), expected: 9, found: 1 }, Code::ContentDamaged, "copy site-1-0003.tar.zst"),
            (Damage::File { path: path() }, Code::ContentDamaged, "copy site-1-0003.tar.zst"),
            (Damage::Unreadable { path: path(), start: 0, end: 9, why: "x".into() }, Code::MediumUnreadable, "another drive"),
            (Damage::Frame { path: path(), offset: 1, digest, why: "x".into() }, Code::ContentDamaged, "packed again"),
        ] {
            check(&Error::from(&damage), code, remedy);
        }
    }

    #[test]
    fn volumes_and_documents() {
        let digest = Digest::sha256(b"");
        let wrong = || Wrong::Short { digest, expected: 2, found: 1 }.into_io();
        let format = |source| ArchiveError::Format { path: "/m/x".into(), source };
        let malformed = || FormatError::Malformed { document: "contents", why: "x".into() };
        for (error, side, code, remedy) in [
            (FsError::new("write", "/o", rustix::io::Errno::NOSPC).into(), Side::Source, Code::NoSpace, "room"),
            (ArchiveError::Source { digest, source: wrong() }, Side::Source, Code::SourceWrong, ""),
            (ArchiveError::Source { digest, source: wrong() }, Side::Target, Code::ContentDamaged, ""),
            (ArchiveError::VolumeTooSmall { size: 1, need: 300_000 }, Side::Source, Code::Usage, "--volume-size 293KiB"),
            (CodecError("x".into()).into(), Side::Source, Code::Unclassified, "--level"),
            (format(FormatError::Schema(2)), Side::Target, Code::FormatUnknown, "version"),
            (format(malformed()), Side::Target, Code::FormatUnknown, "packed again"),
            (Damage::File { path: "/m/x".into() }.into(), Side::Target, Code::ContentDamaged, "copy x"),
            (ArchiveError::VolumeMissing(3), Side::Target, Code::VolumeMissing, "--this-medium"),
            (ArchiveError::Interrupted, Side::Target, Code::Interrupted, ""),
        ] {
            check(&archive(&error, side), code, remedy);
        }
        assert_eq!(Error::from(&malformed()).code, Code::BadDocument);
    }

    #[test]
    fn sets_that_do_not_open() {
        let refused = |source| OpenError::NotVerified { path: "/m/ocp4-7.index.json".into(), source };
        for (error, code, remedy) in [
            (OpenError::NoSet(vec!["/m".into()]), Code::SetMissing, "NAME.index.json"),
            (OpenError::TooMany(vec!["/m".into()]), Code::SetAmbiguous, "fewer"),
            (refused(VerifyError::EmptyTrust), Code::KeyringEmpty, "`sealift trust add stream:ocp4 KEY.pub`"),
            (refused(VerifyError::NoSignature), Code::SignatureMissing, "sealift sign"),
            (OpenError::Contents(vec![Damage::File { path: "/m/c".into() }.into()]), Code::ContentDamaged, "copy c"),
            (
                OpenError::Contents(vec![FsError::new("open", "/m/c", rustix::io::Errno::NOENT).into()]),
                Code::ContentDamaged,
                ".contents.copy.json.zst",
            ),
            (OpenError::Fs(FsError::new("open", "/m", rustix::io::Errno::NOENT)), Code::FileMissing, "mounted"),
        ] {
            check(&Error::from(&error), code, remedy);
        }
    }
}
