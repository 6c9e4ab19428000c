//! The fixed pieces of a volume file (`sealift-archive(5)`, "Volumes"): how every volume begins and ends, the header of
//! an entry, and the tag that tells a stray volume from a damaged one.

use crate::codec::frame;
use crate::digest::Digest;

/// Bytes of an entry's header frame: 512 bytes of ustar header in a raw frame.
pub const ENTRY_HEADER: u64 = 526;
/// The most bytes the padding of an entry takes.
pub const PADDING_MAX: u64 = 15;
/// The two zero blocks that end a tar archive, as an RLE frame.
pub const END: u64 = 15;
/// Where the tag lies.
pub const TAG_OFFSET: u64 = 1038;
/// Length of the tag frame.
pub const TAG_BYTES: u64 = 8 + 48;

const TAG_MAGIC: &[u8; 8] = b"SEALIFT1";
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The file that makes an unpacked volume an OCI image layout (OCI image specification, "Image Layout").
pub const LAYOUT_FILE: &str = "oci-layout";
/// The index of that layout.
pub const INDEX_FILE: &str = "index.json";

/// The ustar header (POSIX.1-1988) of one entry: regular file, mode 0644, owner and time zero.
pub fn entry_header(name: &str, size: u64) -> Result<[u8; 512], std::io::Error> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// The header of one entry as the frame that lies in the volume; always [`ENTRY_HEADER`] bytes.
pub fn entry_frame(name: &str, size: u64) -> Result<Vec<u8>, std::io::Error> {
    Ok(frame::raw(&entry_header(name, size)?))
}

/// The padding after an entry of `size` bytes: nothing, or a frame of zeros up to the next multiple of 512.
pub fn padding(size: u64) -> Vec<u8> {
    match (512 - size % 512) % 512 {
        0 => Vec::new(),
        len => frame::zeros(len as usize),
    }
}

/// The end of the tar archive.
pub fn end() -> Vec<u8> {
    frame::zeros(1024)
}

/// What every volume of a set begins with: the `oci-layout` entry in one raw frame, then the tag.
pub fn preamble(plan: &Digest, number: u32) -> Result<Vec<u8>, std::io::Error> {
    let mut entry = entry_header(LAYOUT_FILE, OCI_LAYOUT.len() as u64)?.to_vec();
    entry.extend(OCI_LAYOUT);
    entry.resize(1024, 0);
    let mut out = frame::raw(&entry);
    let mut tag = TAG_MAGIC.to_vec();
    tag.extend(plan.bytes());
    tag.extend(number.to_le_bytes());
    tag.extend([0; 4]);
    out.extend(frame::skippable(&tag));
    Ok(out)
}

/// Reads the tag from the beginning of a file. For messages only: nothing is believed because of it.
pub fn read_tag(beginning: &[u8]) -> Option<(Digest, u32)> {
    let tag = beginning.get(TAG_OFFSET as usize..(TAG_OFFSET + TAG_BYTES) as usize)?;
    let (magic, rest) = tag.get(8..)?.split_at_checked(8)?;
    let (plan, rest) = rest.split_at_checked(32)?;
    if magic != TAG_MAGIC {
        return None;
    }
    let number = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    Some((Digest::from_sha256(plan.try_into().ok()?), number))
}

/// Name of the tar entry that holds a whole blob.
pub fn whole_entry(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Name of the tar entry that holds one part of a blob, from 1.
pub fn part_entry(digest: &Digest, number: usize) -> String {
    format!("parts/{}.{number:04}", digest.hex())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_pieces_have_their_lengths() {
        let plan = Digest::sha256(b"plan");
        let preamble = preamble(&plan, 7).unwrap();
        assert_eq!(preamble.len() as u64, TAG_OFFSET + TAG_BYTES);
        assert_eq!(read_tag(&preamble), Some((plan, 7)));
        assert_eq!(read_tag(&preamble[..1050]), None);
        assert_eq!(entry_frame(&part_entry(&plan, 12_345), u64::from(u32::MAX)).unwrap().len() as u64, ENTRY_HEADER);
        assert_eq!(end().len() as u64, END);
        for size in [0, 1, 256, 257, 511, 512, 513] {
            let padding = padding(size);
            assert!(padding.len() as u64 <= PADDING_MAX && (padding.is_empty() == (size % 512 == 0)));
        }
    }

    #[test]
    fn tar_reads_the_preamble() {
        let bytes = [preamble(&Digest::sha256(b""), 1).unwrap(), end()].concat();
        let plain = frame::unfold(&bytes, 10_000).unwrap();
        let mut archive = tar::Archive::new(plain.as_slice());
        let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, ["oci-layout"]);
    }
}
