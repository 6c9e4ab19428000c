//! Packing: a whole run, and single images of it.

use super::from_archive::{archive, damage};
use super::from_io::{Side, io};
use super::from_layout::layout;
use super::from_oci::manifest_code;
use super::from_registry::source;
use super::{Code, Detail, Error};
use crate::origin::OriginError;
use crate::pack::{Error as PackError, Failure, Reason};

impl From<&OriginError> for Error {
    fn from(error: &OriginError) -> Error {
        match error {
            OriginError::Registry(inner) => source(inner),
            OriginError::Layout(inner) => layout(inner, Side::Source),
            OriginError::NoPlace(inner) => inner.into(),
            // The source itself is the last one; what a mirror lacks matters less.
            OriginError::Places(tried) => match tried.last() {
                Some(last) => Error { what: error.to_string(), ..Error::from(last) },
                None => Error::new(Code::SourceMissing, error.to_string()),
            },
            OriginError::NoImage { name: _, tag: _ } => Error::new(Code::SourceMissing, error.to_string()),
            OriginError::Manifest { digest: _, error: inner } => Error::new(manifest_code(inner), error.to_string()),
            OriginError::Platform { wanted: _, there: _ } => {
                Error::new(Code::SourceMissing, error.to_string()).remedy("ask for a platform it has, or pack the rest with --keep-going")
            }
            OriginError::Depth(_) | OriginError::Referrers { subject: _, count: _ } => Error::new(Code::CannotCarry, error.to_string()),
            OriginError::Name(inner) => inner.into(),
            OriginError::NoWorkspace | OriginError::NotMade(_) => Error::new(Code::SourceMissing, error.to_string())
                .remedy("plan again on this machine, with the same ImageSet and the same --workspace"),
        }
    }
}

impl From<&Reason> for Error {
    fn from(reason: &Reason) -> Error {
        match reason {
            Reason::Origin(inner) => inner.into(),
            Reason::Workspace(inner) => layout(inner, Side::Source),
            Reason::Shared(_) => Error::new(Code::SourceMissing, reason.to_string())
                .remedy("mend what is told of the image it shares content with, then run the same command again"),
            Reason::Read(inner) => io(inner, Side::Source),
            Reason::Policy(inner) => inner.into(),
        }
    }
}

impl From<&Failure> for Detail {
    fn from(failure: &Failure) -> Detail {
        let detail = Detail::of(&failure.name, &Error::from(&failure.reason));
        Detail { error: failure.told(&detail.error), ..detail }
    }
}

impl From<&PackError> for Error {
    fn from(error: &PackError) -> Error {
        let told = |code| Error::from_chain(code, error);
        match error {
            PackError::Nothing => {
                told(Code::Usage).remedy("name an image, a release, a catalog or a chart that blockedImages does not remove")
            }
            PackError::Collision(inner) => inner.as_ref().into(),
            PackError::Failed { failures, total: _ } => failed(failures, error.to_string()),
            PackError::NoSpace { path, free, need } => told(Code::NoSpace).remedy(format!(
                "make {} bytes more room in {}, or give another OUT",
                need.saturating_sub(*free),
                path.display()
            )),
            PackError::Name { stream: _, sequence: _ } => told(Code::Usage)
                .remedy("give a shorter --stream (a-z, 0-9, -) or a smaller --sequence: together they have at most 41 characters"),
            PackError::Documents(_) => told(Code::ContentInvalid).remedy(
                "where an ImageSet names one catalog twice, give both entries the same targetCatalogSourceTemplate; where it is the size, carry less in one set",
            ),
            PackError::Plan(_) => told(Code::BadDocument).remedy("make the plan anew: `sealift plan imageset.yaml -o plan.json`"),
            PackError::TooManySignatures { limit: _ } => told(Code::CannotCarry).remedy(
                "pack fewer images in one set, or carry no OpenPGP signatures: --registries-d with an empty folder, and no --lookaside",
            ),
            PackError::Exists(_) => told(Code::NotEmpty).remedy("give another OUT, or another --sequence"),
            PackError::Signatures(_) => told(Code::Usage).remedy("remove a signature that nobody needs, a .sig file and its copy, first"),
            PackError::NoSet { name: _, path: _ } => told(Code::SetMissing),
            PackError::Archive(inner) => archive(inner, Side::Source),
            PackError::ReadBack(inner) => {
                let inner = damage(inner);
                Error {
                    what: error.to_string(),
                    remedy: "pack to another disk: this one does not give back what was written to it".into(),
                    ..inner
                }
            }
            PackError::Reopen(inner) => {
                let inner = Error::from(inner);
                Error {
                    what: error.to_string(),
                    remedy: "pack again to another disk; if that fails alike, report it with the output of -v".into(),
                    ..inner
                }
            }
            PackError::Format(inner) => inner.into(),
            PackError::Kept { path: _, wrong: _ } => told(Code::ContentDamaged)
                .remedy("give a --workspace on another disk: this one does not give back what was written to it"),
            PackError::Workspace(inner) => layout(inner, Side::Source),
            PackError::Codec(inner) => inner.into(),
            PackError::Fs(inner) => inner.into(),
            PackError::Ledger(inner) => inner.into(),
            PackError::Sign(inner) => inner.into(),
            PackError::Interrupted => Error::interrupted(),
        }
    }
}

/// Some images failed, and that was not allowed: the code of the first that has a reason of its own, all as details. Who pressed
/// Ctrl-C does not need to read of every transfer that broke off because of it.
fn failed(failures: &[Failure], what: String) -> Error {
    let reasons: Vec<Error> = failures.iter().map(|failure| Error::from(&failure.reason)).collect();
    if reasons.iter().any(|reason| reason.code == Code::Interrupted) {
        return Error::interrupted();
    }
    let own = failures.iter().zip(&reasons).find(|(failure, _)| !matches!(failure.reason, Reason::Shared(_)));
    let Some(first) = own.map(|(_, error)| error).or(reasons.first()) else { return Error::new(Code::SourceMissing, what) };
    let mut told = Error::new(first.code, what).remedy(&first.remedy);
    told.details = failures.iter().zip(&reasons).map(|(failure, reason)| Detail::of(&failure.name, reason)).collect();
    // An image that only shares lost content is lost for the same reason.
    for (detail, failure) in told.details.iter_mut().zip(failures) {
        if matches!(failure.reason, Reason::Shared(_)) {
            detail.code = told.code;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{self, Damage, OpenError};
    use crate::digest::Digest;
    use crate::format::FormatError;
    use crate::fs::FsError;
    use crate::registry;
    use rustix::io::Errno;

    fn failure(name: &str, reason: Reason) -> Failure {
        Failure { name: name.into(), reason, part_of: Vec::new() }
    }

    fn platform() -> Reason {
        Reason::Origin(OriginError::Platform { wanted: "linux/s390x".into(), there: "linux/amd64".into() })
    }

    #[test]
    fn every_failure_has_its_code_and_remedy() {
        let no_space = || FsError::new("write", "/o", Errno::NOSPC);
        for (error, code, remedy) in [
            (PackError::Nothing, Code::Usage, "blockedImages"),
            (PackError::NoSpace { path: "/o".into(), free: 10, need: 30 }, Code::NoSpace, "20 bytes"),
            (PackError::Name { stream: "X".into(), sequence: 1 }, Code::Usage, "--stream"),
            (PackError::Documents("x".into()), Code::ContentInvalid, "targetCatalogSourceTemplate"),
            (PackError::Plan("x".into()), Code::BadDocument, "sealift plan"),
            (PackError::TooManySignatures { limit: 1 }, Code::CannotCarry, "--registries-d"),
            (PackError::Exists("/o".into()), Code::NotEmpty, "another OUT"),
            (PackError::NoSet { name: "s".into(), path: "/o".into() }, Code::SetMissing, "index.json"),
            (archive::Error::VolumeTooSmall { size: 1, need: 2048 }.into(), Code::Usage, "2KiB"),
            (PackError::ReadBack(Damage::File { path: "/o/x".into() }), Code::ContentDamaged, "another disk"),
            (PackError::Reopen(OpenError::NoSet(vec![])), Code::SetMissing, "another disk"),
            (FormatError::Malformed { document: "plan", why: "x".into() }.into(), Code::BadDocument, "file you mean"),
            (no_space().into(), Code::NoSpace, "room"),
            (crate::layout::Error::from(no_space()).into(), Code::NoSpace, "room"),
            (crate::ledger::LedgerError::from(no_space()).into(), Code::NoSpace, "room"),
            (
                PackError::Kept { path: "/w".into(), wrong: crate::blob::Wrong::Long { digest: Digest::sha256(b""), expected: 1 } },
                Code::ContentDamaged,
                "--workspace",
            ),
            (PackError::Interrupted, Code::Interrupted, "same command"),
        ] {
            let error = Error::from(&error);
            assert_eq!(error.code, code, "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
        }
    }

    #[test]
    fn one_image_fails_with_the_code_of_its_source() {
        let digest = Digest::sha256(b"");
        let wrong = || crate::blob::Wrong::Short { digest, expected: 2, found: 1 };
        for (reason, code) in [
            (platform(), Code::SourceMissing),
            (Reason::Origin(OriginError::Depth(digest)), Code::CannotCarry),
            (Reason::Origin(OriginError::Manifest { digest, error: crate::oci::ManifestError::Schema1 }), Code::CannotCarry),
            (Reason::Workspace(crate::layout::Error::Wrong(wrong())), Code::SourceWrong),
            (Reason::Workspace(crate::layout::Error::Damaged { path: "/w".into(), wrong: wrong() }), Code::ContentDamaged),
            (Reason::Read(wrong().into_io()), Code::SourceWrong),
            (Reason::Read(registry::Error::Cancelled.into_io()), Code::Interrupted),
        ] {
            let detail = Detail::from(&failure("quay.io/x:1", reason));
            assert_eq!((detail.code, detail.subject.as_str()), (code, "quay.io/x:1"), "{}", detail.error);
        }
    }

    #[test]
    fn a_failed_run_lists_all_and_takes_the_first_reason_of_its_own() {
        let digest = Digest::sha256(b"");
        let failures =
            vec![failure("a", Reason::Shared(digest)), failure("b", Reason::Origin(OriginError::Depth(digest))), failure("c", platform())];
        let error = Error::from(&PackError::Failed { failures, total: 5 });
        assert_eq!(error.code, Code::CannotCarry);
        let codes: Vec<Code> = error.details.iter().map(|detail| detail.code).collect();
        assert_eq!(codes, [Code::CannotCarry, Code::CannotCarry, Code::SourceMissing]);
        assert!(error.what.contains("3 of 5"), "{error}");
    }

    #[test]
    fn who_interrupts_is_told_just_that() {
        let stopped = Reason::Read(std::io::ErrorKind::Interrupted.into());
        let error = Error::from(&PackError::Failed { failures: vec![failure("a", platform()), failure("b", stopped)], total: 2 });
        assert_eq!((error.code, error.details.len()), (Code::Interrupted, 0));
    }
}
