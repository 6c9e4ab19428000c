//! Unpacking: a whole run, and single images of it.

use super::from_io::{Side, io};
use super::from_layout::layout;
use super::from_registry::target;
use super::{Code, Error};
use crate::unpack::{ImageError, TargetError, TargetTrouble, UnpackError};

/// How the registry's setting is called that lets it take an index without all of its members.
const SPARSE: &str = "pack the image with all its platforms, or let the registry take sparse indexes \
    (distribution 3: validation.manifests.indexes.platforms: none; Quay: FEATURE_SPARSE_INDEX: true)";

impl From<&TargetError> for Error {
    fn from(error: &TargetError) -> Error {
        let inner = error.source.as_ref();
        if let Some(inner) = inner.downcast_ref() {
            return target(inner);
        }
        if let Some(inner) = inner.downcast_ref() {
            return layout(inner, Side::Target);
        }
        if let Some(inner) = inner.downcast_ref() {
            return io(inner, Side::Target);
        }
        let code = match error.trouble {
            TargetTrouble::Unreachable => Code::RegistryUnreachable,
            TargetTrouble::Login => Code::LoginRefused,
            TargetTrouble::Failing => Code::RegistryFailed,
            TargetTrouble::NoSpace => Code::NoSpace,
            TargetTrouble::Cancelled => Code::Interrupted,
            TargetTrouble::Content => Code::ContentDamaged,
            TargetTrouble::BlobUnknown | TargetTrouble::ChildMissing | TargetTrouble::ImmutableTag | TargetTrouble::Refused => {
                Code::PushRefused
            }
            TargetTrouble::Closed => Code::PushRefused,
        };
        Error::new(code, error.to_string())
    }
}

/// Names the subject, unless the words do: most errors of registries begin with it.
fn about(subject: &str, told: Error) -> Error {
    match told.what.contains(subject) {
        true => told,
        false => Error { what: format!("{subject}: {}", told.what), ..told },
    }
}

impl From<&UnpackError> for Error {
    fn from(error: &UnpackError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            UnpackError::Ledger(inner) => inner.into(),
            UnpackError::Target { subject, error: inner } => about(subject, Error::from(inner)),
            UnpackError::Spool(inner) => inner.into(),
            UnpackError::SpoolTooSmall { digest: _, size, spool_size: _, volumes: _ } => told(Code::NoSpace)
                .remedy(format!("give --spool-size {size} or more, or --spool DIR on a larger disk; or bring all its volumes together")),
            UnpackError::SpoolSpace { path: _, needed: _, free: _ } => told(Code::NoSpace).remedy("give --spool DIR on a larger disk"),
            UnpackError::TargetSpace { target: _, needed: _, free: _ } => told(Code::NoSpace),
            UnpackError::NothingSelected { pattern: _ } => {
                told(Code::Usage).remedy("see the names with `sealift inspect PATH`; * in --image stands for any characters")
            }
            UnpackError::Name { repository: _ } => {
                told(Code::Usage).remedy("choose a shorter prefix after --to: lower-case words of a-z 0-9 joined by . _ - and /")
            }
            UnpackError::NoRoom { prefix, max_nested_paths: _ } => told(Code::Usage)
                .remedy(format!("give --max-nested-paths {} or more, or a shorter prefix after --to", prefix.split('/').count() + 1)),
            UnpackError::OtherPlan { planned: _, here: _ } => told(Code::Bug),
            UnpackError::StalePlan { target: _ } => told(Code::InUse).remedy("run the same command again"),
            UnpackError::Collision(inner) => Error { remedy: "give a larger --max-nested-paths".into(), ..Error::from(inner.as_ref()) },
            UnpackError::Format(inner) => inner.into(),
            UnpackError::Interrupted => Error::interrupted(),
        }
    }
}

impl From<&ImageError> for Error {
    fn from(error: &ImageError) -> Error {
        match error {
            ImageError::Target { subject, error: inner } => {
                let told = about(subject, Error::from(inner.as_ref()));
                match inner.trouble {
                    TargetTrouble::ChildMissing => told.remedy(SPARSE),
                    _ => told,
                }
            }
            ImageError::SparseRefused { digest: _, absent: _, error: _ } => Error::new(Code::PushRefused, error.to_string()).remedy(SPARSE),
            ImageError::Unlisted { repository: _, subject, why: _ } => Error::new(Code::PushRefused, error.to_string()).remedy(format!(
                "remove or rename the tag {} in that repository where it is no list of referrers, then run the same command again",
                crate::oci::referrers::fallback_tag(subject)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::registry;
    use std::sync::Arc;

    #[test]
    fn every_failure_has_its_code_and_remedy() {
        let digest = Digest::sha256(b"");
        let unreachable = || {
            let error = registry::Error::Unreachable { host: "r.lan".into(), reason: registry::Reason::Refused, plain: false };
            TargetError::new(TargetTrouble::Unreachable, error)
        };
        for (error, code, remedy) in [
            (UnpackError::Target { subject: "r.lan/x:1".into(), error: unreachable() }, Code::RegistryUnreachable, "r"),
            (UnpackError::SpoolTooSmall { digest, size: 77, spool_size: 5, volumes: [1, 2].into() }, Code::NoSpace, "--spool-size 77"),
            (UnpackError::NothingSelected { pattern: "x".into() }, Code::Usage, "inspect"),
            (UnpackError::Interrupted, Code::Interrupted, "same command"),
        ] {
            let error = Error::from(&error);
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
        }
        let twice = TargetError::new(TargetTrouble::Refused, "r.lan/x:1: refused");
        assert_eq!(Error::from(&UnpackError::Target { subject: "x:1".into(), error: twice }).what, "r.lan/x:1: refused");
        let refused = Arc::new(TargetError::new(TargetTrouble::ChildMissing, "no"));
        let error = Error::from(&ImageError::SparseRefused { digest, absent: 2, error: refused });
        assert!(error.code == Code::PushRefused && error.remedy.contains("FEATURE_SPARSE_INDEX"));
        let error = Error::from(&ImageError::Unlisted { repository: "a".into(), subject: digest, why: "taken".into() });
        assert!(error.code == Code::PushRefused && error.remedy.contains(&format!("sha256-{}", digest.hex())));
    }
}
