//! Every ceiling on input that nobody has vouched for, each with the attack or accident it stops.
//!
//! Sizes are bytes unless the name says otherwise. `sealift-archive(5)`, "Limits", repeats those that are
//! part of the archive format.

/// A 2 GB "index" that fills memory before its signature can be looked at.
pub const INDEX_BYTES: u64 = 256 << 20;
/// A few kilobytes of zstd that unfold to terabytes of contents.
pub const CONTENTS_PLAIN_BYTES: u64 = 1 << 30;
/// A folder of endless candidate indexes, each to be hashed.
pub const CANDIDATE_INDEXES: usize = 64;
/// Endless signature files beside one index.
pub const SIGNATURES: usize = 16;
/// A signature file without end.
pub const SIGNATURE_BYTES: u64 = 16 << 10;
/// Fixed slices of volumes in one set: bounds the block table.
pub const BLOCKS_PER_SET: u64 = 1 << 18;
/// Largest block; with the number of blocks this bounds a set to 64 TiB.
pub const BLOCK_BYTES_MAX: u64 = 256 << 20;
/// Smallest block.
pub const BLOCK_BYTES_MIN: u64 = 1 << 20;
/// Largest volume: the largest file of FAT32, and what scanners and ISO 9660 take.
pub const VOLUME_BYTES_MAX: u64 = u32::MAX as u64;
/// Smallest volume that is useful.
pub const VOLUME_BYTES_MIN: u64 = 256 << 10;
/// Plain bytes of one zstd frame: what a decoder may have to hold.
pub const FRAME_PLAIN_BYTES: u64 = 64 << 20;
/// Blobs of one set: bounds memory of every plan.
pub const BLOBS_PER_SET: usize = 4 << 20;
/// Bytes of all documents of one set (signatures, templates, update graphs).
pub const DOCUMENTS_BYTES: u64 = 64 << 20;
/// A CatalogSource template: brackets or aliases that keep the parser busy for hours.
pub const TEMPLATE_BYTES: usize = 64 << 10;
/// One entry of `partOf`.
pub const PART_OF_CHARS: usize = 1024;
/// Images of one set.
pub const IMAGES_PER_SET: usize = 1 << 20;
/// Nesting of JSON and YAML documents (stack exhaustion).
pub const NESTING: usize = 64;
/// A manifest: every registry promises at least this much, none more (distribution specification, "Pushing manifests").
pub const MANIFEST_BYTES: u64 = 4 << 20;
/// Depth of indexes inside indexes: an index that contains itself cannot exist, a very deep one can.
pub const INDEX_DEPTH: usize = 8;
/// Children of one index.
pub const INDEX_CHILDREN: usize = 10_000;
/// Layers of one image.
pub const LAYERS: usize = 10_000;
/// One blob.
pub const BLOB_BYTES: u64 = 1 << 44;
/// Blobs below this size lie in the contents document as well (configs, manifests).
pub const INLINE_BYTES: u64 = 64 << 10;
/// A token answer.
pub const TOKEN_BYTES: u64 = 1 << 20;
/// What is kept of a registry's error answer.
pub const ERROR_BODY_BYTES: u64 = 64 << 10;
/// One page of a tag list or referrers list.
pub const LIST_BYTES: u64 = 16 << 20;
/// Pages of one list: a registry that always has another.
pub const LIST_PAGES: usize = 10_000;
/// Tags of one repository.
pub const TAGS_PER_REPOSITORY: usize = 1 << 20;
/// The index of a foreign image layout: endless entries, each kept in memory while one is changed.
pub const LAYOUT_INDEX_BYTES: u64 = 64 << 20;
/// An ImageSetConfiguration, a plan, a credentials file or a trust file given by the user.
pub const CONFIG_BYTES: u64 = 16 << 20;
/// An ImageSetConfiguration: the parser keeps some hundred bytes per event, so a few megabytes are already generous.
pub const IMAGE_SET_BYTES: u64 = 4 << 20;
/// Values of an ImageSetConfiguration once its aliases are followed ("billion laughs").
pub const IMAGE_SET_VALUES: usize = 1 << 19;
/// Bytes of text in an ImageSetConfiguration once its aliases are followed (one long text repeated by alias).
pub const IMAGE_SET_TEXT: usize = 16 << 20;
/// What the compiled expressions of all `blockedImages` together may take in memory.
pub const BLOCKED_PATTERN_BYTES: usize = 64 << 20;
/// A saved plan or a receipt: grows with the set.
pub const PLAN_BYTES: u64 = 1 << 30;
/// A private key or a passphrase file.
pub const KEY_BYTES: u64 = 64 << 10;
/// Rounds of bcrypt-pbkdf in a private key file: a planted file that computes for years (ssh-keygen writes 16 or 24).
pub const KDF_ROUNDS: u32 = 10_000;
/// One answer of an ssh-agent; OpenSSH's own ceiling.
pub const AGENT_BYTES: u32 = 256 << 10;
/// A repository name with its host (distribution 2.8 and 3 answer 500 above it).
pub const NAME_CHARS: usize = 255;
/// One receipt in a registry or on this host, which anybody with push rights may have written.
pub const RECEIPT_BYTES: u64 = 256 << 20;
/// Receipts of one target: a registry whose list of receipts does not end.
pub const RECEIPTS: usize = 4096;
