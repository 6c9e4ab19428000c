//! The reader's verdict on configurations found in the wild.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::support::shared_data;
use Verdict::{Accept, Delete, Refuse};
use sealift::image_set::{DeleteSet, ImageSet, Kind, Problem};
use std::collections::BTreeSet;

/// What must be answered to a file.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// Read as ImageSetConfiguration.
    Accept,
    /// Refused as delete configuration, and read as one.
    Delete,
    /// Refused, for this reason.
    Refuse(&'static str),
}

#[test]
fn configurations_from_the_wild_get_their_verdict() {
    let Some(data) = shared_data() else { return };
    let folder = data.join("imagesets");
    let present: BTreeSet<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let judged: BTreeSet<String> = VERDICTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(present, judged);
    for (name, verdict) in VERDICTS {
        judge(name, &std::fs::read(folder.join(name)).unwrap(), *verdict);
    }
}

fn judge(name: &str, bytes: &[u8], verdict: Verdict) {
    match (ImageSet::parse(bytes), verdict) {
        (Ok(_), Accept) => {}
        (Err(error), Delete) => {
            assert_eq!(error.problem, Problem::OtherKind { found: Kind::Delete, wanted: Kind::Mirror }, "{name}");
            DeleteSet::parse(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        (Err(error), Refuse(reason)) => {
            assert!(error.line.is_some() && error.to_string().contains(reason), "{name}: {error}");
        }
        (result, verdict) => panic!("{name}: {:?} instead of {verdict:?}", result.map(|_| "accepted").map_err(|e| e.to_string())),
    }
}

/// Refused are: a range on package and channel at once, a digest of 66 digits, a target with a tag in it, a member of the old
/// format, platforms beside architectures, and two text templates that are no YAML before they are filled in.
#[rustfmt::skip]
const VERDICTS: &[(&str, Verdict)] = &[
    ("docs__image-set-examples__image-set-config.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__case83849__config-83849.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__case84007__config-84007.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72708.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72913.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72917.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72920.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72938-1.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72938.yaml", Refuse("packages[0]: the package has a version range and so has a channel")),
    ("e2e__test__e2e__testdata__workloads__config-72942.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72948.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72949-1.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72949-2.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72971.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72972.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72973.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72982.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-72983.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-73124.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-73359.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-73377.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-73452.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-73783.yaml", Refuse("line 6: mirror.additionalImages[1].name: ")),
    ("e2e__test__e2e__testdata__workloads__config-73791.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-74649.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-74650-minor-v1.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-74650-minor-v2.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-74650-patch-v1.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-74650-patch-v2.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-74660.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-75422-delete.yaml", Delete),
    ("e2e__test__e2e__testdata__workloads__config-75422.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-75425.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-75437.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-75438.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-76469.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-76489.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-76596.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-76597-delete.yaml", Delete),
    ("e2e__test__e2e__testdata__workloads__config-76597.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-77060.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-79215.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-79217-1.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-79217.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-79408.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-79452-v1.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-79452-v2.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-83582.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-83875.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-86309.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-87962-multi-catalog.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-87962-operators.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-87992.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-88132-digest.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-88132-invalid.yaml", Refuse("targetRepo: \"invalid:@tag\" is not a repository path")),
    ("e2e__test__e2e__testdata__workloads__config-88132-target-repo-tag.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-88132-target-repo.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__config-88132-target-tag.yaml", Accept),
    ("e2e__test__e2e__testdata__workloads__delete-config-72708.yaml", Delete),
    ("e2e__test__e2e__testdata__workloads__delete-config-72972.yaml", Delete),
    ("e2e__test__e2e__testdata__workloads__delete-config-77061.yaml", Delete),
    ("e2e__test__e2e__testdata__workloads__delete-config-79217.yaml", Delete),
    ("e2e__test__e2e__testdata__workloads__delete-config-79452.yaml", Delete),
    ("integration__testdata__imagesetconfigs__dry_run__isc-manifest-list.yaml", Accept),
    ("integration__testdata__imagesetconfigs__exit_codes__isc-additional-image-error.yaml", Accept),
    ("integration__testdata__imagesetconfigs__exit_codes__isc-generic-error.yaml", Refuse("line 3: storageConfig: it belongs to the old format")),
    ("integration__testdata__imagesetconfigs__exit_codes__isc-helm-error.yaml", Accept),
    ("integration__testdata__imagesetconfigs__exit_codes__isc-operator-error.yaml", Accept),
    ("integration__testdata__imagesetconfigs__exit_codes__isc-operator-helm-error.yaml", Accept),
    ("integration__testdata__imagesetconfigs__exit_codes__isc-release-error.yaml", Accept),
    ("integration__testdata__imagesetconfigs__happy_path__disc-happy-path.yaml", Delete),
    ("integration__testdata__imagesetconfigs__happy_path__isc-happy-path.yaml", Accept),
    ("integration__testdata__imagesetconfigs__incremental__isc-incremental-expanded.yaml", Accept),
    ("integration__testdata__imagesetconfigs__incremental__isc-incremental-narrow.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-catalog-digest.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-extra-blobs.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-incremental-initial.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-incremental-update.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-invalid-images.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-invalid-version-range.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-pinned-version.yaml", Accept),
    ("integration__testdata__imagesetconfigs__operators__isc-operator-version-range.yaml", Accept),
    ("integration__testdata__imagesetconfigs__parallel_copy__isc-multilayers.yaml", Accept),
    ("integration__testdata__imagesetconfigs__parallel_copy__isc-parallel-images.yaml", Accept),
    ("integration__testdata__imagesetconfigs__proxy__isc-proxy-channels.yaml", Accept),
    ("integration__testdata__imagesetconfigs__secure_policy__isc-operators-only.yaml", Accept),
    ("integration__testdata__imagesetconfigs__secure_policy__isc-signed-catalog-unsigned-additional.yaml", Accept),
    ("integration__testdata__imagesetconfigs__signatures__disc-signatures.yaml", Delete),
    ("integration__testdata__imagesetconfigs__signatures__isc-signatures.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-additional-amd64.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-archs-multi-release.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-archs-multi.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-platforms-and-archs.yaml", Refuse("platforms and architectures exclude each other")),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-sparse-full-multi.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-sparse-full.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-sparse-mixed.yaml", Accept),
    ("integration__testdata__imagesetconfigs__sparse_manifest__isc-sparse-no-platforms.yaml", Accept),
    ("internal__e2e__templates__isc_templates__additional_isc.yaml", Refuse("line 1: the name of a member must be a word")),
    ("internal__e2e__templates__isc_templates__release_isc.yaml", Refuse("line 1: the name of a member must be a word")),
    ("unit__testdata__config__valid-delete.yaml", Delete),
    ("unit__testdata__config__valid.yaml", Accept),
    ("unit__testdata__delete-isc.yaml", Delete),
    ("unit__testdata__isc.yaml", Accept),
];
