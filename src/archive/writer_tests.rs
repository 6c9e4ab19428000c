use super::*;
use proptest::prelude::*;
use sha2::Digest as _;
use std::collections::BTreeMap;

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 32);
    let mut i = 0u64;
    while out.len() < len {
        out.extend(sha2::Sha256::digest([seed.to_le_bytes(), i.to_le_bytes()].concat()));
        i += 1;
    }
    out.truncate(len);
    out
}

fn text(len: usize, seed: u64) -> Vec<u8> {
    noise(len / 4 + 1, seed).into_iter().flat_map(|b| [b'a' + b % 16, b'0' + b / 32, b' ', b'\n']).take(len).collect()
}

struct Written {
    volumes: Vec<(VolumeRef, Vec<u8>)>,
    parts: Vec<Vec<Part>>,
}

fn write(blobs: &[(bool, Vec<u8>)], volume_size: u64, piece: usize) -> Written {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap().durable(false);
    let spec = VolumeSpec {
        name: SetName::new("t", 1).unwrap(),
        volume_size,
        block_size: 1 << 20,
        plan: Digest::sha256(b"plan"),
        layout_index: b"{}".to_vec(),
        level: 3,
    };
    let mut writer = Writer::new(dir.clone(), spec).unwrap();
    let mut parts = Vec::new();
    for (raw, bytes) in blobs {
        let digest = Digest::sha256(bytes);
        parts.push(if *raw {
            writer.put_raw(&digest, bytes.len() as u64, &mut bytes.as_slice()).unwrap()
        } else {
            let mut pieces = bytes
                .chunks(piece)
                .map(|chunk| Ok(Piece { plain: chunk.to_vec(), frame: Compressor::new(3).unwrap().compress(chunk).unwrap() }));
            writer.put_pieces(&digest, bytes.len() as u64, &mut pieces).unwrap()
        });
    }
    let finished = writer.finish().unwrap();
    let volumes = finished
        .into_iter()
        .map(|f| {
            f.file.publish().unwrap();
            let bytes = dir.read(&f.volume.name, u64::MAX).unwrap();
            (f.volume, bytes)
        })
        .collect();
    Written { volumes, parts }
}

/// What stock tools make of all volumes: tar entries by name, parts put together in order.
fn unpacked(written: &Written) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (_, bytes) in &written.volumes {
        let mut plain = Vec::new();
        zstd::stream::read::Decoder::new(bytes.as_slice()).unwrap().read_to_end(&mut plain).unwrap();
        let mut archive = tar::Archive::new(plain.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let name = name.strip_prefix("parts/").map_or(name.clone(), |n| format!("blobs/sha256/{}", n.split('.').next().unwrap()));
            if name.starts_with("blobs") {
                entry.read_to_end(files.entry(name).or_default()).unwrap();
            }
        }
    }
    files
}

fn check(blobs: &[(bool, Vec<u8>)], volume_size: u64, piece: usize) {
    let written = write(blobs, volume_size, piece);
    for (volume, bytes) in &written.volumes {
        assert!(bytes.len() as u64 <= volume_size && bytes.len() as u64 == volume.size);
        let hashes: Vec<[u8; 32]> = bytes.chunks(1 << 20).map(|c| sha2::Sha256::digest(c).into()).collect();
        assert_eq!(volume.block_hashes(), hashes);
    }
    let files = unpacked(&written);
    for ((_, bytes), parts) in blobs.iter().zip(&written.parts) {
        let digest = Digest::sha256(bytes);
        assert!(files[&volume::whole_entry(&digest)] == *bytes);
        let mut out = Vec::new();
        for part in parts {
            let mut at = part.offset as usize;
            for frame in &part.frames {
                let slice = &written.volumes[part.volume as usize - 1].1[at..at + frame.size as usize];
                let plain = frame::unfold(slice, frame.plain).unwrap();
                assert_eq!(plain.len() as u64, frame.plain);
                out.extend(plain);
                at += frame.size as usize;
            }
        }
        assert!(out == *bytes);
    }
}

#[test]
fn every_shape_of_blob_arrives_whole() {
    let blobs = [
        (true, noise(3_000_000, 1)),
        (false, text(5_000_000, 2)),
        (false, vec![]),
        (true, vec![]),
        (false, b"{}".to_vec()),
        (true, noise(1, 3)),
        (false, noise(700_000, 4)),
        (false, text(2_500_000, 5)),
    ];
    for size in [limits::VOLUME_BYTES_MIN, 1_000_000, 3_000_001, limits::VOLUME_BYTES_MAX] {
        check(&blobs, size, 1 << 20);
    }
}

#[test]
fn volumes_are_filled() {
    let written = write(&[(true, noise(5_000_000, 1)), (false, text(9_000_000, 2))], 1_000_000, 1 << 20);
    let full = &written.volumes[..written.volumes.len() - 1];
    for (volume, _) in full {
        assert!(volume.size > 1_000_000 - (128 << 10) - 600, "slack below one block: {}", volume.size);
    }
}

#[test]
fn too_small_a_volume_is_refused_with_the_size_that_works() {
    let temp = tempfile::tempdir().unwrap();
    let spec = VolumeSpec {
        name: SetName::new("t", 1).unwrap(),
        volume_size: 300_000,
        block_size: 1 << 20,
        plan: Digest::sha256(b""),
        layout_index: noise(500_000, 1),
        level: 3,
    };
    match Writer::new(Dir::open(temp.path()).unwrap(), spec.clone()) {
        Err(Error::VolumeTooSmall { need, .. }) => {
            let spec = VolumeSpec { volume_size: need, ..spec };
            assert!(Writer::new(Dir::open(temp.path()).unwrap(), spec).is_ok());
        }
        _ => panic!("accepted"),
    }
}

#[test]
fn equal_input_equal_bytes() {
    let blobs = [(true, noise(3_000_000, 1)), (false, text(5_000_000, 2))];
    let (a, b) = (write(&blobs, 1_500_000, 1 << 20), write(&blobs, 1_500_000, 1 << 20));
    assert!(a.volumes.iter().map(|v| &v.1).eq(b.volumes.iter().map(|v| &v.1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn no_volume_exceeds_its_size_by_a_byte(
        sizes in prop::collection::vec((any::<bool>(), any::<bool>(), 0usize..1_200_000), 1..6),
        volume_size in limits::VOLUME_BYTES_MIN..2_000_000,
    ) {
        let blobs: Vec<_> = sizes.iter().enumerate()
            .map(|(i, (raw, noisy, len))| (*raw, if *noisy { noise(*len, i as u64) } else { text(*len, i as u64) }))
            .collect();
        check(&blobs, volume_size, 400_000);
    }
}
