//! The index: the one signed document of a set (`sealift-archive(5)`, "Index").

use super::{FormatError, SetName, admit, names};
use crate::digest::Digest;
use crate::limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The schema this version writes and reads.
pub const SCHEMA: u64 = 1;

/// Features an index of this version may require. Empty: what schema 1 is needs no name.
const KNOWN: &[&str] = &[];

/// The index of a set. Its identity is the SHA-256 of its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    /// [`SCHEMA`].
    pub schema: u64,
    /// Features without which the set must not be used.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Advice that may be ignored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hints: BTreeMap<String, Value>,
    /// The stream; `stream:NAME` is the principal of the trust file.
    pub stream: String,
    /// Compared, never read as a clock.
    pub sequence: u64,
    /// When it was packed (RFC 3339, UTC); for people.
    pub created: String,
    /// What made it.
    pub producer: Producer,
    /// Digest of the plan: what the volumes' tags say.
    pub plan: Digest,
    /// Sites this set is meant for; empty: any.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Free labels.
    #[serde(default, deserialize_with = "super::each_once")]
    pub labels: BTreeMap<String, String>,
    /// Reserved: identity of a set that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Digest>,
    /// What was asked for and is not in the set.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// Bytes of a block; a power of two.
    pub block_size: u64,
    /// The volumes, number 1 first.
    pub volumes: Vec<VolumeRef>,
    /// The contents document.
    pub contents: ContentsRef,
    /// Other files of the set.
    #[serde(default)]
    pub files: Vec<FileRef>,
    /// Reserved: parity. A reader without it must ignore nothing: `requires` says whether it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Value>,
}

/// What made a set; determinism is promised for equal producers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Producer {
    /// Version of sealift.
    pub sealift: String,
    /// Version of the zstd library in it.
    pub zstd: String,
}

/// Something asked for that could not be packed (`pack --keep-going`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Missing {
    /// As asked for.
    pub name: String,
    /// Stable code of the error.
    pub code: String,
    /// The error in words.
    pub reason: String,
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeRef {
    /// File name it was written under; a label, not an identity.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of each block, 32 bytes each, in order, as one base64 string (RFC 4648, padded).
    pub blocks: String,
    /// Reserved: the medium it is meant for, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<u32>,
    /// Reserved: how it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<Value>,
}

/// The contents document, bound by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContentsRef {
    /// Length of the compressed document.
    pub size: u64,
    /// SHA-256 of the compressed document, checked before it is decompressed.
    pub digest: Digest,
    /// Length of the document itself.
    pub plain_size: u64,
    /// Reserved: how it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Value>,
}

/// Another file of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileRef {
    /// Its name.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// Its SHA-256.
    pub digest: Digest,
}

/// Smallest power of two from 1 MiB that cuts `volumes` volumes with `bytes` bytes in all into at most 2^18 blocks.
pub fn block_size(bytes: u64, volumes: u64) -> u64 {
    let mut size = limits::BLOCK_BYTES_MIN;
    while size < limits::BLOCK_BYTES_MAX && bytes / size + volumes > limits::BLOCKS_PER_SET {
        size *= 2;
    }
    size
}

impl VolumeRef {
    /// Encodes a block table.
    pub fn encode_blocks(hashes: &[[u8; 32]]) -> String {
        BASE64.encode(hashes.concat())
    }

    /// The block table. Checked by [`Index::parse`]; empty only for a value that never was.
    pub fn block_hashes(&self) -> Vec<[u8; 32]> {
        let bytes = BASE64.decode(&self.blocks).unwrap_or_default();
        bytes.as_chunks::<32>().0.to_vec()
    }
}

impl Index {
    /// Reads an index strictly: schema and features first, then no unknown member, no value out of bounds.
    /// Whoever calls it has checked a signature over exactly these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Index, FormatError> {
        admit("index", bytes, KNOWN)?;
        let index: Index = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed("index", e))?;
        index.check().map_err(|why| FormatError::malformed("index", why))?;
        Ok(index)
    }

    /// The document as it is signed and written: one line per member group, stable order.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| FormatError::malformed("index", e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The name its files begin with.
    pub fn name(&self) -> Option<SetName> {
        SetName::new(&self.stream, self.sequence)
    }

    /// Bytes of all volumes.
    pub fn volume_bytes(&self) -> u64 {
        self.volumes.iter().map(|v| v.size).sum()
    }

    fn check(&self) -> Result<(), String> {
        if !self.requires.is_empty() {
            return Err("requires must be empty".into());
        }
        for (what, there) in [
            ("encryption", self.contents.encryption.is_some()),
            ("cipher", self.volumes.iter().any(|v| v.cipher.is_some())),
            ("parity", self.parity.is_some()),
        ] {
            if there {
                return Err(format!("{what} is reserved and must be absent"));
            }
        }
        if self.name().is_none() {
            return Err("stream and sequence do not make a name".into());
        }
        if !self.block_size.is_power_of_two() || !(limits::BLOCK_BYTES_MIN..=limits::BLOCK_BYTES_MAX).contains(&self.block_size) {
            return Err(format!("blockSize {} is not a power of two from 1 MiB to 256 MiB", self.block_size));
        }
        if self.contents.size > limits::INDEX_BYTES || self.contents.plain_size > limits::CONTENTS_PLAIN_BYTES {
            return Err("the contents document is larger than allowed".into());
        }
        self.check_volumes()?;
        self.check_files()
    }

    fn check_volumes(&self) -> Result<(), String> {
        let mut blocks = 0u64;
        for volume in &self.volumes {
            if !crate::text::is_plain_name(&volume.name) || volume.size == 0 || volume.size > limits::VOLUME_BYTES_MAX {
                return Err(format!("volume {:?} has an impossible name or size", volume.name));
            }
            let count = volume.size.div_ceil(self.block_size);
            blocks += count;
            let table = BASE64.decode(&volume.blocks).map_err(|e| format!("block table of {:?}: {e}", volume.name))?;
            if table.len() as u64 != count * 32 {
                return Err(format!("block table of {:?} has {} bytes, {} expected", volume.name, table.len(), count * 32));
            }
        }
        if blocks > limits::BLOCKS_PER_SET {
            return Err(format!("{blocks} blocks, at most {} allowed", limits::BLOCKS_PER_SET));
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), String> {
        let mut seen = std::collections::BTreeSet::new();
        let names = self.volumes.iter().map(|v| &v.name).chain(self.files.iter().map(|f| &f.name));
        for name in names {
            if !crate::text::is_plain_name(name) || !seen.insert(name.to_ascii_lowercase()) {
                return Err(format!("file name {name:?} is impossible or used twice"));
            }
        }
        if !names::is_stream(&self.stream) {
            return Err(format!("{:?} is not a stream", self.stream));
        }
        Ok(())
    }
}

impl crate::sign::Streamed for Index {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn audience(&self) -> &[String] {
        &self.audience
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Index {
        Index {
            schema: SCHEMA,
            requires: vec![],
            hints: BTreeMap::new(),
            stream: "default".into(),
            sequence: 7,
            created: "2026-01-02T03:04:05Z".into(),
            producer: Producer { sealift: "0".into(), zstd: "0".into() },
            plan: Digest::sha256(b"plan"),
            audience: vec![],
            labels: BTreeMap::new(),
            supersedes: None,
            missing: vec![],
            block_size: 1 << 20,
            volumes: vec![VolumeRef {
                name: "default-7-0001.tar.zst".into(),
                size: (1 << 20) + 1,
                blocks: VolumeRef::encode_blocks(&[[1; 32], [2; 32]]),
                medium: None,
                cipher: None,
            }],
            contents: ContentsRef { size: 1, digest: Digest::sha256(b""), plain_size: 1, encryption: None },
            files: vec![],
            parity: None,
        }
    }

    fn mutated(change: impl Fn(&mut Value)) -> Result<Index, FormatError> {
        let mut value = serde_json::to_value(sample()).unwrap();
        change(&mut value);
        Index::parse(&serde_json::to_vec(&value).unwrap())
    }

    #[test]
    fn what_is_written_reads_back() {
        let index = sample();
        assert_eq!(Index::parse(&index.to_bytes().unwrap()).unwrap(), index);
        assert_eq!(index.volumes[0].block_hashes(), [[1; 32], [2; 32]]);
    }

    #[test]
    fn later_formats_are_refused_by_name_before_anything_else() {
        assert_eq!(
            mutated(|v| {
                v["schema"] = 2.into();
                v["requires"] = serde_json::json!({"new": "form"});
                v["volumes"] = "new form".into()
            }),
            Err(FormatError::Schema(2))
        );
        assert_eq!(
            mutated(|v| {
                v["requires"] = serde_json::json!(["delta@2"]);
                v["x"] = 1.into()
            }),
            Err(FormatError::Requires("delta@2".into()))
        );
        assert!(mutated(|v| v["hints"] = serde_json::json!({"later": [1]})).is_ok());
    }

    #[test]
    fn nothing_out_of_bounds_is_an_index() {
        let bad: &[fn(&mut Value)] = &[
            |v| v["surprise"] = 1.into(),
            |v| v["volumes"][0]["surprise"] = 1.into(),
            |v| v["stream"] = "../up".into(),
            |v| v["blockSize"] = 3.into(),
            |v| v["blockSize"] = (1u64 << 40).into(),
            |v| v["volumes"][0]["size"] = (1u64 << 33).into(),
            |v| v["volumes"][0]["size"] = 1.into(),
            |v| v["volumes"][0]["name"] = "../x".into(),
            |v| v["volumes"][0]["blocks"] = "AAAA".into(),
            |v| v["volumes"][0]["cipher"] = serde_json::json!({}),
            |v| v["contents"]["encryption"] = serde_json::json!({}),
            |v| v["parity"] = serde_json::json!({"code": "gf256-cauchy@1"}),
            |v| v["contents"]["plainSize"] = u64::MAX.into(),
            |v| v["files"] = serde_json::json!([{"name": "DEFAULT-7-0001.tar.zst", "size": 1, "digest": Digest::sha256(b"")}]),
            |v| v["contents"]["digest"] = "sha256:1".into(),
        ];
        for (i, change) in bad.iter().enumerate() {
            assert!(matches!(mutated(change), Err(FormatError::Malformed { .. })), "{i}");
        }
        let twice = String::from_utf8(sample().to_bytes().unwrap()).unwrap().replacen("\"stream\"", "\"stream\": \"x\", \"stream\"", 1);
        assert!(Index::parse(twice.as_bytes()).is_err());
        let labels =
            String::from_utf8(sample().to_bytes().unwrap()).unwrap().replacen("\"labels\": {}", r#""labels": {"a": "1", "a": "2"}"#, 1);
        assert!(labels.contains("\"a\"") && Index::parse(labels.as_bytes()).is_err());
        assert!(Index::parse(labels.replacen("\"a\"", "\"b\"", 1).as_bytes()).is_ok());
    }

    #[test]
    fn block_sizes_bound_the_table() {
        assert_eq!(block_size(0, 0), 1 << 20);
        assert_eq!(block_size(300_000_000_000, 64), 2 << 20);
        assert_eq!(block_size(3_000_000_000_000, 700), 16 << 20);
    }
}
