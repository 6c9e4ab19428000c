//! Update graphs, release images, and what is looked for in them.

use super::{Code, Error};
use crate::openshift::graph::{GraphError, SelectError};
use crate::openshift::release::ReleaseError;

impl From<&GraphError> for Error {
    fn from(error: &GraphError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            GraphError::Refused { kind: _, value: _ } => {
                told(Code::ContentNotFound).remedy("correct the channel and the architecture in the ImageSet")
            }
            GraphError::Malformed(_) => told(Code::ContentInvalid)
                .remedy("correct the address of the update graph (--graph-url, UPDATE_URL_OVERRIDE), or ask again later"),
            GraphError::Version(_) => told(Code::ContentInvalid).remedy("take a newer sealift, or another update graph (--graph-url)"),
            GraphError::Entry { place: _, why: _ } | GraphError::TooMany { what: _, found: _, limit: _ } => {
                told(Code::ContentInvalid).remedy("tell who serves that update graph, or take another one (--graph-url)")
            }
        }
    }
}

impl From<&SelectError> for Error {
    fn from(error: &SelectError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            SelectError::EmptyChannel { channel: _, architecture } => told(Code::ContentNotFound).remedy(format!(
                "correct the channel: `sealift list releases --version X.Y --channels --arch {architecture}` shows those there are"
            )),
            SelectError::NoVersion { version: _, channel, architecture, nearest: _ } => told(Code::ContentNotFound).remedy(format!(
                "take a version that is in it: `sealift list releases --channel {} --arch {architecture}` shows them",
                crate::text::shown(channel)
            )),
            SelectError::EmptyRange { channel: _, min: _, max: _ } => told(Code::BadImageset).remedy("exchange minVersion and maxVersion"),
            SelectError::NoPath { channel: _, architecture: _, from: _, to: _, reached: _, leads: _ } => {
                told(Code::ContentNotFound).remedy("choose other ends for the path, or carry the range without shortestPath")
            }
        }
    }
}

impl From<&ReleaseError> for Error {
    fn from(error: &ReleaseError) -> Error {
        let told = || Error::new(Code::ContentInvalid, error.to_string());
        match error {
            ReleaseError::Files(inner) => inner.into(),
            ReleaseError::NoReferences => told().remedy("name a release image: quay.io/openshift-release-dev/ocp-release:VERSION-ARCH"),
            ReleaseError::Malformed { path: _, why: _ }
            | ReleaseError::Twice(_)
            | ReleaseError::NoDigest { component: _, reference: _ }
            | ReleaseError::Contradiction { references: _, metadata: _ }
            | ReleaseError::Architecture(_)
            | ReleaseError::Tag(_) => told().remedy("tell who publishes that release, and take another version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::gather::GatherError;
    use crate::openshift::files::FilesError;
    use crate::openshift::graph::Nearest;
    use crate::openshift::signature::{KeyError, StoreError};
    use semver::Version;

    #[test]
    fn every_trouble_with_releases_has_its_code_and_its_advice() {
        let (v, text, digest) = (Version::new(4, 16, 3), || "x".to_owned(), Digest::sha256(b""));
        let (channel, architecture) = (text(), text());
        let select = SelectError::NoVersion { version: v.clone(), channel, architecture, nearest: Nearest::default() };
        let range = SelectError::EmptyRange { channel: text(), min: v.clone(), max: v.clone() };
        let graph = |error| GatherError::Graph { url: "https://g".into(), channel: "c".into(), architecture: "amd64".into(), error };
        let release = |error| GatherError::Release { image: "q.io/r@x".into(), error };
        for (error, code) in [
            (graph(GraphError::Version(2)), Code::ContentInvalid),
            (graph(GraphError::Malformed(text())), Code::ContentInvalid),
            (graph(GraphError::Refused { kind: text(), value: text() }), Code::ContentNotFound),
            (select.into(), Code::ContentNotFound),
            (range.into(), Code::BadImageset),
            (release(ReleaseError::NoReferences), Code::ContentInvalid),
            (release(ReleaseError::Files(FilesError::Interrupted)), Code::Interrupted),
            (release(ReleaseError::Files(crate::origin::OriginError::Depth(digest).into())), Code::CannotCarry),
            (GatherError::OtherRelease { image: text(), expected: text(), found: text() }, Code::ContentInvalid),
            (GatherError::NotARelease(text()), Code::BadReference),
            (StoreError::Missing { digest, stores: vec![] }.into(), Code::ReleaseSignature),
            (StoreError::Cancelled.into(), Code::Interrupted),
            (KeyError::None { looked: vec![] }.into(), Code::ReleaseSignature),
        ] {
            let told = Error::from(&error);
            assert_eq!(told.code, code, "{told}");
            assert!(!told.remedy.is_empty(), "{told}");
        }
        let told = Error::from(&graph(GraphError::Version(2)));
        assert_eq!(
            told.what,
            "https://g: the update graph of channel c for amd64: it is an update graph of version 2; version 1 is understood"
        );
    }
}
