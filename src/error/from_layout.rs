//! OCI layouts: as a source, as the workspace, as a target.

use super::from_io::{Side, io};
use super::from_oci::manifest_code;
use super::{Code, Error};
use crate::digest::Digest;
use crate::layout::Error as LayoutError;
use crate::text::shown;
use std::path::Path;

/// What an error of a layout on this side means.
pub fn layout(error: &LayoutError, side: Side) -> Error {
    let told = |code| Error::from_chain(code, error);
    match error {
        LayoutError::NotALayout { path: _ } => told(Code::BadDocument).remedy("give the folder that holds oci-layout and index.json"),
        LayoutError::NotEmpty { path: _ } => told(Code::NotEmpty).remedy("give an empty folder, or one that is an OCI layout already"),
        LayoutError::Version { path: _, version: _ } => {
            told(Code::BadDocument).remedy("write the layout anew with a current tool, in version 1.0.0")
        }
        LayoutError::Malformed { path: _, why: _ } => told(Code::BadDocument).remedy("write the layout anew where it came from"),
        LayoutError::TooManyImages { path: _, size: _, limit: _ } => told(match side {
            Side::Source => Code::CannotCarry,
            Side::Target => Code::PushRefused,
        })
        .remedy("spread the images over several layouts"),
        LayoutError::NoSuchImage { path: _, wanted: _, there: _ } => {
            told(Code::SourceMissing).remedy("use one of the names listed above: oci:FOLDER:TAG")
        }
        LayoutError::NotUnique { path, wanted: _, found, there } => told(Code::BadReference).remedy(one_of(path, found, there)),
        LayoutError::Empty { path: _ } => told(Code::SourceMissing).remedy("copy an image into the layout, or give another folder"),
        LayoutError::NoBlob { path: _, digest: _ } => told(match side {
            Side::Source => Code::SourceMissing,
            Side::Target => Code::ContentDamaged,
        })
        .remedy("copy the image into the layout again, with all of its platforms"),
        LayoutError::Irregular { path } => {
            told(Code::ContentDamaged).remedy(format!("remove {}, then copy the image into the layout again", path.display()))
        }
        LayoutError::Damaged { path, wrong: _ } => told(Code::ContentDamaged).remedy(format!(
            "remove {}, then copy the image into the layout again (a workspace is filled again by itself)",
            path.display()
        )),
        LayoutError::Wrong(_) => told(side.wrong()),
        LayoutError::Source { digest: _, source } => Error { what: error.to_string(), ..io(source, side) },
        LayoutError::Manifest { digest: _, error: inner } => told(manifest_code(inner)),
        LayoutError::Depth(_) => told(Code::CannotCarry),
        LayoutError::Fs(inner) => inner.into(),
    }
}

/// How to say which image is meant: by a name that only one has, else by digest.
fn one_of(path: &Path, found: &[Digest], there: &[String]) -> String {
    let once = |name: &&String| there.iter().filter(|other| other == name).count() == 1;
    match (there.iter().find(once), found.first()) {
        (Some(name), _) => format!("choose one by a name listed above: oci:{}:{}", path.display(), shown(name)),
        (None, Some(digest)) => format!("choose one by its digest: oci:{}@{digest}", path.display()),
        (None, None) => "choose one by its digest: oci:FOLDER@sha256:HEX".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Wrong;
    use crate::fs::FsError;
    use crate::oci::ManifestError;
    use std::path::PathBuf;

    #[test]
    fn every_failure_has_its_code_and_remedy() {
        let digest = Digest::sha256(b"");
        let path = || PathBuf::from("/l");
        let wrong = || Wrong::Long { digest, expected: 1 };
        for (error, source, target, remedy) in [
            (LayoutError::NotALayout { path: path() }, Code::BadDocument, Code::BadDocument, "oci-layout"),
            (LayoutError::NotEmpty { path: path() }, Code::NotEmpty, Code::NotEmpty, "empty folder"),
            (LayoutError::Version { path: path(), version: "2".into() }, Code::BadDocument, Code::BadDocument, "1.0.0"),
            (LayoutError::Malformed { path: path(), why: "x".into() }, Code::BadDocument, Code::BadDocument, "anew"),
            (LayoutError::TooManyImages { path: path(), size: 2, limit: 1 }, Code::CannotCarry, Code::PushRefused, "several"),
            (
                LayoutError::NoSuchImage { path: path(), wanted: "x".into(), there: vec![] },
                Code::SourceMissing,
                Code::SourceMissing,
                "oci:",
            ),
            (
                LayoutError::NotUnique { path: path(), wanted: None, found: vec![digest], there: vec![] },
                Code::BadReference,
                Code::BadReference,
                "oci:/l@sha256:",
            ),
            (
                LayoutError::NotUnique { path: path(), wanted: None, found: vec![digest, digest], there: vec!["a:1".into(), "b:1".into()] },
                Code::BadReference,
                Code::BadReference,
                "oci:/l:a:1",
            ),
            (
                LayoutError::NotUnique { path: path(), wanted: None, found: vec![digest, digest], there: vec!["a".into(), "a".into()] },
                Code::BadReference,
                Code::BadReference,
                "oci:/l@sha256:",
            ),
            (LayoutError::Empty { path: path() }, Code::SourceMissing, Code::SourceMissing, "copy"),
            (LayoutError::NoBlob { path: path(), digest }, Code::SourceMissing, Code::ContentDamaged, "again"),
            (LayoutError::Irregular { path: path() }, Code::ContentDamaged, Code::ContentDamaged, "remove /l"),
            (LayoutError::Damaged { path: path(), wrong: wrong() }, Code::ContentDamaged, Code::ContentDamaged, "remove /l"),
            (LayoutError::Wrong(wrong()), Code::SourceWrong, Code::ContentDamaged, ""),
            (LayoutError::Source { digest, source: wrong().into_io() }, Code::SourceWrong, Code::ContentDamaged, ""),
            (LayoutError::Manifest { digest, error: ManifestError::Schema1 }, Code::CannotCarry, Code::CannotCarry, "current build"),
            (LayoutError::Depth(digest), Code::CannotCarry, Code::CannotCarry, ""),
            (FsError::new("write", "/l", rustix::io::Errno::NOSPC).into(), Code::NoSpace, Code::NoSpace, "room"),
        ] {
            for (side, code) in [(Side::Source, source), (Side::Target, target)] {
                let told = layout(&error, side);
                assert_eq!(told.code, code, "{told}");
                assert!(told.remedy.contains(remedy), "{told}");
            }
        }
    }
}
