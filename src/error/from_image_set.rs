//! What the user asks for, in a file or on the command line.

use super::{Code, Error};
use crate::image_set::{Collision, DestinationError, ImageSetError, Kind, Problem, SizeError, SourceError};

impl From<&ImageSetError> for Error {
    fn from(error: &ImageSetError) -> Error {
        let told = Error::new(Code::BadImageset, error.to_string());
        match remedy(&error.problem) {
            Some(remedy) => told.remedy(remedy),
            None => told,
        }
    }
}

/// Better than "correct the file" where one action is known.
fn remedy(problem: &Problem) -> Option<&'static str> {
    match problem {
        Problem::OtherKind { found: _, wanted: Kind::Delete } => {
            Some("give a DeleteImageSetConfiguration (apiVersion mirror.openshift.io/v2alpha1) with a delete section")
        }
        Problem::OtherKind { found: Kind::Delete, wanted: _ } => {
            Some("give an ImageSetConfiguration with a mirror section; to delete: `sealift delete --generate -c FILE --to REGISTRY/PREFIX`")
        }
        Problem::Empty | Problem::UnknownKind(_) | Problem::OtherKind { .. } | Problem::OtherSection(_) => {
            Some("give an ImageSetConfiguration (apiVersion mirror.openshift.io/v2alpha1) with a mirror section")
        }
        Problem::OldFormat => Some("remove the member; oc-mirror v2 does not know it either"),
        Problem::NoTagNorDigest(_) => Some("write the tag (NAME:TAG) or the digest (NAME@sha256:HEX) in that line"),
        Problem::TooLarge | Problem::TooMuch => Some("split the file into several ImageSets"),
        Problem::TooDeep
        | Problem::Key
        | Problem::Syntax(_)
        | Problem::Missing
        | Problem::Unknown { .. }
        | Problem::DuplicateKey { .. }
        | Problem::Type { .. }
        | Problem::Repeated { .. }
        | Problem::Reference(_)
        | Problem::Repository(_)
        | Problem::Tag(_)
        | Problem::Pattern { .. }
        | Problem::Version { .. }
        | Problem::Architecture(_)
        | Problem::Word(_)
        | Problem::PlatformsAndArchitectures
        | Problem::TwoRanges
        | Problem::ArchiveSize(_) => None,
    }
}

impl From<&SourceError> for Error {
    fn from(error: &SourceError) -> Error {
        let told = Error::new(Code::BadReference, crate::text::without_userinfo(&error.to_string()));
        match error {
            SourceError::Reference(_) | SourceError::TooLong => told,
            SourceError::NoTagNorDigest(_) => told.remedy("add the tag or the digest: host/path:TAG or host/path@sha256:HEX"),
            SourceError::Folder(_) => told.remedy("write oci:FOLDER:TAG with the path of the layout's folder"),
            SourceError::Digest(_) => told.remedy("write oci:FOLDER@sha256:HEX with all 64 digits"),
        }
    }
}

impl From<&DestinationError> for Error {
    fn from(error: &DestinationError) -> Error {
        let told = Error::new(Code::BadReference, error.to_string());
        match error {
            DestinationError::Repository { .. } => {
                told.remedy("name it with targetRepo in an ImageSet, or rename the folder of the layout")
            }
            DestinationError::Tag { .. } => told.remedy("name it with targetTag in an ImageSet"),
            DestinationError::NoTagNorDigest(_) => told.remedy("add the tag or the digest, or name it with targetTag in an ImageSet"),
        }
    }
}

impl From<&Collision> for Error {
    fn from(error: &Collision) -> Error {
        Error::new(Code::NameCollision, error.to_string())
            .remedy(format!("give {} another targetRepo or targetTag in the ImageSet", crate::text::shown(&error.second.0)))
    }
}

impl From<&SizeError> for Error {
    fn from(error: &SizeError) -> Error {
        let told = Error::new(Code::Usage, error.to_string());
        match error {
            SizeError::Malformed(_) => told.remedy("write it like --volume-size 700MB or --volume-size 4GiB"),
            SizeError::TooSmall { bytes: _ } => told.remedy("give --volume-size 256KiB or more"),
            SizeError::TooLarge { bytes: _ } => told.remedy("give --volume-size 4GiB or less"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::image_set::{Destination, Source};

    #[test]
    fn wishes_that_cannot_be_met_say_what_to_write_instead() {
        let image_set = |problem| Error::from(&ImageSetError { line: Some(3), field: "mirror".into(), problem });
        assert!(image_set(Problem::Missing).remedy.contains("sealift plan"));
        let error = image_set(Problem::NoTagNorDigest("quay.io/x".into()));
        assert!(error.code == Code::BadImageset && error.what.contains("line 3") && error.remedy.contains("NAME:TAG"), "{error}");
        let source = |text: &str| Error::from(&Source::parse(text).unwrap_err());
        for (text, remedy) in [("quay.io/x/y", "TAG"), ("oci::x", "oci:FOLDER:TAG"), ("oci:d@sha256:1", "64"), ("NOT OK", "host/path:tag")]
        {
            let error = source(text);
            assert_eq!(error.code, Code::BadReference);
            assert!(error.remedy.contains(remedy), "{error}");
        }
        assert!(!source("u:hunter2@quay.io/X").to_string().contains("hunter2"));
        let name = Error::from(&DestinationError::Repository { from: "oci:A B".into(), repository: "A B".into() });
        assert!(name.code == Code::BadReference && name.remedy.contains("targetRepo"));
        let tag = Error::from(&DestinationError::Tag { from: "oci:x".into(), tag: "-".into() });
        assert!(tag.code == Code::BadReference && tag.remedy.contains("targetTag"));
        let size = Error::from(&SizeError::TooSmall { bytes: 1 });
        assert!(size.code == Code::Usage && size.remedy.contains("256KiB"));
    }

    #[test]
    fn a_collision_names_the_second_image() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let destination = Destination { repository: "x".into(), tag: "1".into() };
        let error = Error::from(&Collision { destination, first: ("a.io/x:1".into(), a), second: ("b.io/x:1".into(), b) });
        assert_eq!(error.code, Code::NameCollision);
        assert!(error.remedy.contains("b.io/x:1") && error.remedy.contains("targetRepo"), "{error}");
    }
}
