//! What is told about operator catalogs.

use super::{Code, Detail, Error, Side};
use crate::openshift::fbc::{FbcError, LeftOut};

impl From<&FbcError> for Error {
    fn from(error: &FbcError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            FbcError::Files(inner) => inner.into(),
            FbcError::Read { file: _, error: inner } => super::io(inner, Side::Source).because(error),
            FbcError::Object { place: _, why: _ } => told(Code::ContentInvalid)
                .remedy("tell who publishes the catalog; a file that is no part of it can be named in an .indexignore beside it"),
            FbcError::TooLarge { place: _, limit: _ } | FbcError::TooMany(_) | FbcError::Ignore { file: _, why: _ } => {
                told(Code::ContentInvalid)
            }
            FbcError::Empty(_) => told(Code::ContentInvalid)
                .remedy("name an image or a folder with a file-based catalog; catalogs in the old SQLite form cannot be read"),
            FbcError::FullWithRange(_) => {
                told(Code::BadImageset).remedy("remove full: true, or all minVersion and maxVersion of that catalog")
            }
            FbcError::TwoRanges(_) => told(Code::BadImageset).remedy("leave either the range of the package or those of its channels"),
            FbcError::LeftOut(left_out) => several(left_out, error.to_string()),
            FbcError::Changed => told(Code::ContentInvalid).remedy("run the same command again, while nobody changes the files"),
            FbcError::Sink(inner) => super::io(inner, Side::Target).because(error),
        }
    }
}

fn code(left_out: &LeftOut) -> Code {
    if left_out.fault.is_absence() { Code::ContentNotFound } else { Code::ContentInvalid }
}

/// One is told by its sentence; of several each is a detail, and only if all are absent it is that.
fn several(left_out: &[LeftOut], what: String) -> Error {
    let codes: Vec<Code> = left_out.iter().map(code).collect();
    let all_absent = codes.iter().all(|code| *code == Code::ContentNotFound);
    let mut told = Error::new(if all_absent { Code::ContentNotFound } else { Code::ContentInvalid }, what);
    if left_out.len() > 1 {
        told.details = left_out.iter().map(Detail::from).collect();
    }
    told
}

impl From<&LeftOut> for Detail {
    fn from(left_out: &LeftOut) -> Detail {
        let place = left_out.place.as_ref().map_or(String::new(), |place| format!(" (in {place})"));
        Detail {
            subject: crate::text::shown(&left_out.package).to_string(),
            code: code(left_out),
            error: format!("{}{place}", left_out.fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openshift::fbc::{Fault, Place};

    fn left_out(package: &str, fault: Fault) -> LeftOut {
        LeftOut { package: package.into(), place: Some(Place { file: "configs/p/c.yaml".into(), document: 2, line: 9 }), fault }
    }

    #[test]
    fn absent_and_broken_content_are_told_apart() {
        let absent = left_out("quay", Fault::NoPackage { near: Some("project-quay".into()) });
        let broken = left_out("p", Fault::NoHead { channel: "stable".into() });
        let one = Error::from(&FbcError::LeftOut(vec![absent.clone()]));
        assert!(one.code == Code::ContentNotFound && one.what.contains("did you mean project-quay?"), "{one}");
        let both = Error::from(&FbcError::LeftOut(vec![absent, broken]));
        assert_eq!((both.code, both.details.len()), (Code::ContentInvalid, 2));
        assert!(both.to_string().contains("p: channel stable has no head (in configs/p/c.yaml, object 2 (line 9))"), "{both}");
        let request = Error::from(&FbcError::FullWithRange("p".into()));
        assert!(request.code == Code::BadImageset && request.remedy.contains("full: true"));
    }
}
