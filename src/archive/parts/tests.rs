use super::*;
use crate::codec::frame::Compressor;
use crate::progress::Silent;
use crate::sign::{AllowedSigners, Namespace, Policy, RevokedKeys, Signer, SoftwareKey, Trust, sign_detached};
use crate::{archive, format, fs::Dir};
use sha2::Digest as _;
use std::path::Path;

fn noise(len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 32);
    let mut i = 0u64;
    while out.len() < len {
        out.extend(sha2::Sha256::digest(i.to_le_bytes()));
        i += 1;
    }
    out.truncate(len);
    out
}

fn key() -> SoftwareKey {
    SoftwareKey::ed25519(&[7; 32])
}

fn trust() -> Trust {
    let line = format!("stream:* namespaces=\"sealift-index@1\" {} me\n", key().public_key().to_line());
    Trust::new(AllowedSigners::parse(line.as_bytes()).unwrap(), RevokedKeys::parse(b"").unwrap(), Policy::parse(b"").unwrap())
}

/// A signed set `s-SEQUENCE` of one blob without any image.
fn set(out: &Path, sequence: u64, bytes: &[u8], volume_size: u64) -> Digest {
    let dir = Dir::open(out).unwrap().durable(false);
    let name = format::SetName::new("s", sequence).unwrap();
    let plan = Digest::sha256(b"plan");
    let spec = archive::VolumeSpec { name: name.clone(), volume_size, block_size: 1 << 20, plan, layout_index: b"{}".to_vec(), level: 3 };
    let mut writer = archive::Writer::new(dir.clone(), spec).unwrap();
    let digest = Digest::sha256(bytes);
    let parts = writer.put_raw(&digest, bytes.len() as u64, &mut &*bytes).unwrap();
    let mut volumes = Vec::new();
    for finished in writer.finish().unwrap() {
        finished.file.publish().unwrap();
        volumes.push(finished.volume);
    }
    let blob = Blob { digest, size: bytes.len() as u64, encoding: format::STORED.into(), inline: None, parts };
    let contents = format::Contents {
        schema: 1,
        requires: vec![],
        images: vec![],
        manifests: vec![],
        blobs: vec![blob],
        documents: vec![],
        base: None,
    };
    let plain = contents.to_bytes().unwrap();
    let packed = Compressor::new(3).unwrap().compress(&plain).unwrap();
    let contents = format::ContentsRef {
        size: packed.len() as u64,
        digest: Digest::sha256(&packed),
        plain_size: plain.len() as u64,
        encryption: None,
    };
    let index = format::Index {
        schema: 1,
        requires: vec![],
        hints: Default::default(),
        stream: "s".into(),
        sequence,
        created: "2026-01-01T00:00:00Z".into(),
        producer: format::Producer { sealift: "0".into(), zstd: "0".into() },
        plan,
        audience: vec![],
        labels: Default::default(),
        supersedes: None,
        missing: vec![],
        block_size: 1 << 20,
        volumes,
        contents,
        files: vec![],
        parity: None,
    };
    let bytes = index.to_bytes().unwrap();
    let signature = sign_detached(&key(), Namespace::Index, &bytes).unwrap();
    dir.publish(&name.file(format::FileKind::Contents { copy: false }), &packed).unwrap();
    dir.publish(&name.file(format::FileKind::Index { copy: false }), &bytes).unwrap();
    dir.publish(&name.file(format::FileKind::Signature { copy: false, number: 1 }), signature.as_bytes()).unwrap();
    digest
}

fn open(path: &Path) -> OpenSet {
    archive::open(&[path.to_owned()], &trust(), 0).unwrap().remove(0)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_volume_missing_in_the_middle_of_a_blob_is_no_damage() {
    let temp = tempfile::tempdir().unwrap();
    let digest = set(temp.path(), 1, &noise(700_000), 300_000);
    assert_eq!(open(temp.path()).check(true, &Silent::new()).unwrap().proven, 1);
    std::fs::remove_file(temp.path().join("s-1-0002.tar.zst")).unwrap();
    let set = open(temp.path());
    let checked = set.check(true, &Silent::new()).unwrap();
    assert_eq!((checked.damage.as_slice(), checked.elsewhere, checked.good.as_slice()), (&[][..], 1, &[1, 3][..]));
    assert!(!checked.lost.contains(&digest));
}

#[test]
fn every_damaged_block_is_told_though_one_blob_has_them_all() {
    let temp = tempfile::tempdir().unwrap();
    let digest = set(temp.path(), 1, &noise(5 << 20), 100 << 20);
    for at in [1_500_000, 3_500_000] {
        flip(&temp.path().join("s-1-0001.tar.zst"), at);
    }
    for deep in [false, true] {
        let checked = open(temp.path()).check(deep, &Silent::new()).unwrap();
        let starts: Vec<u64> = checked.damage.iter().map(|(_, d)| if let Damage::Block { start, .. } = d { *start } else { 0 }).collect();
        assert_eq!(starts, [1 << 20, 3 << 20], "deep {deep}");
        assert!(checked.lost.contains(&digest) && checked.good.is_empty());
    }
}

#[test]
fn damage_that_goes_on_is_told_as_one() {
    let temp = tempfile::tempdir().unwrap();
    set(temp.path(), 1, &noise(6 << 20), 100 << 20);
    for at in [1_500_000, 2_500_000, 3_500_000, 5_500_000] {
        flip(&temp.path().join("s-1-0001.tar.zst"), at);
    }
    for deep in [false, true] {
        let checked = open(temp.path()).check(deep, &Silent::new()).unwrap();
        let spans =
            checked.damage.iter().map(|(_, d)| if let Damage::Block { start, end, .. } = d { (start >> 20, end >> 20) } else { (0, 0) });
        assert_eq!(spans.collect::<Vec<_>>(), [(1, 4), (5, 6)], "deep {deep}");
    }
}

#[test]
fn of_named_files_only_their_sets_are_opened() {
    let temp = tempfile::tempdir().unwrap();
    set(temp.path(), 1, &noise(700_000), 300_000);
    set(temp.path(), 2, &noise(10), 300_000);
    let at = |name: &str| temp.path().join(name);
    let names = |paths: &[std::path::PathBuf]| {
        let sets = archive::open(paths, &trust(), 0).unwrap();
        sets.iter().map(|set| (set.name().sequence(), set.volumes_here().len())).collect::<Vec<_>>()
    };
    assert_eq!(names(&[at("s-1-0002.tar.zst"), at("s-1-0003.tar.zst")]), [(1, 2)]);
    assert_eq!(names(&[at("s-1-0002.tar.zst"), at("s-2-0001.tar.zst")]), [(1, 1), (2, 1)]);
    assert_eq!(names(&[at("s-2.index.json"), at("s-1-0002.tar.zst")]), [(1, 1), (2, 1)]);
    assert_eq!(names(&[at("s-1-0002.tar.zst"), temp.path().to_owned()]), [(1, 3), (2, 1)]);
    // The folder of the documents and the medium with a volume are two places.
    let other = tempfile::tempdir().unwrap();
    std::fs::rename(at("s-1-0002.tar.zst"), other.path().join("x.tar.zst")).unwrap();
    assert_eq!(names(&[other.path().join("x.tar.zst"), at("s-1-0001.tar.zst")]), [(1, 2)]);
}

#[test]
fn a_truncated_volume_is_one_damage_with_its_true_length() {
    let temp = tempfile::tempdir().unwrap();
    let digest = set(temp.path(), 1, &noise(5 << 20), 100 << 20);
    let path = temp.path().join("s-1-0001.tar.zst");
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_200_000).unwrap();
    for deep in [false, true] {
        let checked = open(temp.path()).check(deep, &Silent::new()).unwrap();
        assert!(matches!(checked.damage.as_slice(), [(1, Damage::Length { found: 1_200_000, .. })]), "deep {deep}: {:?}", checked.damage);
        assert!(checked.lost.contains(&digest));
    }
}

#[test]
fn the_index_given_as_path_means_that_set_and_all_its_volumes() {
    let temp = tempfile::tempdir().unwrap();
    set(temp.path(), 1, &noise(700_000), 300_000);
    set(temp.path(), 2, &noise(10), 300_000);
    let sets = archive::open(&[temp.path().join("s-1.index.json")], &trust(), 0).unwrap();
    assert_eq!(sets.len(), 1);
    assert_eq!((sets[0].name().sequence(), sets[0].volumes_here().len(), sets[0].remarks()), (1, 3, &[][..]));
    // A volume stands for itself.
    let sets = archive::open(&[temp.path().join("s-1-0002.tar.zst")], &trust(), 0).unwrap();
    let one = sets.iter().find(|set| set.name().sequence() == 1).unwrap();
    assert_eq!(one.volumes_here().iter().collect::<Vec<_>>(), [&2]);
}

#[test]
fn an_index_that_cannot_be_read_costs_no_other_set() {
    let temp = tempfile::tempdir().unwrap();
    set(temp.path(), 2, &noise(10), 300_000);
    let huge = std::fs::File::create(temp.path().join("a-1.index.json")).unwrap();
    huge.set_len(crate::limits::INDEX_BYTES + 1).unwrap();
    let set = open(temp.path());
    assert_eq!(set.name().sequence(), 2);
    assert!(
        matches!(set.remarks(), [archive::Remark::IgnoredIndex { path, .. }] if path.ends_with("a-1.index.json")),
        "{:?}",
        set.remarks()
    );
}
