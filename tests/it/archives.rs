//! Archives once written are read for ever: one set per released format, made once and never again.

use sealift::archive;
use sealift::progress::Silent;
use sealift::sign::{AllowedSigners, Policy, RevokedKeys, Trust};
use std::path::PathBuf;

#[test]
fn the_first_format_is_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/archives/v1");
    let trust = Trust::new(
        AllowedSigners::parse(&std::fs::read(folder.join("allowed_signers")).unwrap()).unwrap(),
        RevokedKeys::parse(b"").unwrap(),
        Policy::parse(b"").unwrap(),
    );
    let sets = archive::open(&[folder.join("set")], &trust, 1_800_000_000).unwrap();
    let [set] = sets.as_slice() else { panic!("{} sets", sets.len()) };
    assert_eq!(set.name().to_string(), "fixture-1");
    assert_eq!(set.volumes_here().len(), 2);
    let checked = set.check(true, &Silent::new()).unwrap();
    assert!(checked.damage.is_empty() && checked.elsewhere == 0, "{:?}", checked.damage);
    let images: Vec<(String, String)> =
        set.contents().images.iter().map(|i| (format!("{}:{}", i.repository, i.tag), i.root.digest.to_string())).collect();
    let expected = [
        ("greet:greeting", "sha256:abc7cb5fe03ce2f98a4af2cd9206828095ec23db0fb7de5380015e60adddd5e6"),
        ("greet:web", "sha256:9d65f2dd86c11468bc8dfcb4824f3a0898cf3b815a51637e678d38c00b5d09fb"),
    ];
    assert!(images.iter().map(|(name, digest)| (name.as_str(), digest.as_str())).eq(expected), "{images:?}");
    assert!(checked.proven >= 10);
}
