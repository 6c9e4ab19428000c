//! Files: what the operating system answered.

use super::{Code, Error};
use crate::fs::{FsError, Trouble};

impl From<&FsError> for Error {
    fn from(error: &FsError) -> Error {
        let what = format!("cannot {} {}", error.operation, error.path.display());
        let told = Error::new(code(error), what).because(&error.source);
        match is_no_folder(error) {
            true => told.remedy("what has this name, or one above it, is a file: give a folder"),
            false => told,
        }
    }
}

/// What the system's answer means.
pub(super) fn code(error: &FsError) -> Code {
    match error.trouble() {
        Trouble::NoSpace => Code::NoSpace,
        Trouble::NotWritable if is_reading(error.operation) => Code::NotReadable,
        Trouble::NotWritable => Code::NotWritable,
        Trouble::InUse => Code::InUse,
        Trouble::Absent => Code::FileMissing,
        Trouble::Medium => Code::MediumUnreadable,
        Trouble::Other if is_no_folder(error) => Code::Usage,
        Trouble::Other => Code::Unclassified,
    }
}

/// A file where a folder was named.
fn is_no_folder(error: &FsError) -> bool {
    use std::io::ErrorKind::{AlreadyExists, NotADirectory};
    error.operation.ends_with("folder") && matches!(error.source.kind(), AlreadyExists | NotADirectory)
}

/// A refused permission means another thing to who wanted to read.
fn is_reading(operation: &str) -> bool {
    matches!(operation, "open" | "open folder" | "read" | "list" | "look at" | "seek in")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_the_system_says_becomes_a_code() {
        let code = |operation, errno: Errno| Error::from(FsError::new(operation, "/x", std::io::Error::from(errno))).code;
        assert_eq!(code("write", Errno::NOSPC), Code::NoSpace);
        assert_eq!(code("write", Errno::DQUOT), Code::NoSpace);
        assert_eq!(code("create", Errno::ROFS), Code::NotWritable);
        assert_eq!(code("create", Errno::ACCESS), Code::NotWritable);
        assert_eq!(code("open", Errno::ACCESS), Code::NotReadable);
        assert_eq!(code("lock", Errno::AGAIN), Code::InUse);
        assert_eq!(code("open", Errno::NOENT), Code::FileMissing);
        assert_eq!(code("read", Errno::IO), Code::MediumUnreadable);
        assert_eq!(code("read", Errno::NODEV), Code::MediumUnreadable);
        assert_eq!(code("open folder", Errno::NOTDIR), Code::Usage);
        assert_eq!(code("make folder", Errno::EXIST), Code::Usage);
        assert_eq!(code("open", Errno::LOOP), Code::Unclassified);
    }

    #[test]
    fn path_and_cause_are_both_told() {
        let error = Error::from(FsError::new("write", "/media/stick/x", std::io::Error::from(Errno::NOSPC)));
        assert_eq!(error.what, "cannot write /media/stick/x");
        assert!(error.causes.concat().contains("No space left"));
    }
}
