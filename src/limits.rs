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
/// An update graph; the largest real ones have some megabytes.
pub const GRAPH_BYTES: u64 = 32 << 20;
/// Releases of one update graph.
pub const GRAPH_NODES: u64 = 10_000;
/// Edges of one update graph, conditional ones included.
pub const GRAPH_EDGES: u64 = 1 << 20;
/// One file of a release that is read whole.
pub const RELEASE_FILE_BYTES: u64 = 8 << 20;
/// Components of one release.
pub const RELEASE_COMPONENTS: usize = 10_000;
/// A repository name with its host (distribution 2.8 and 3 answer 500 above it).
pub const NAME_CHARS: usize = 255;
/// A release signature (OpenPGP message), as large as OpenShift's own verifier takes.
pub const RELEASE_SIGNATURE_BYTES: u64 = 50 << 10;
/// The same without its compression: a few kilobytes that unfold to gigabytes.
pub const RELEASE_SIGNATURE_PLAIN_BYTES: u64 = 256 << 10;
/// Signatures of one release: a store that always has another.
pub const RELEASE_SIGNATURES: u32 = 9;
/// A file of OpenPGP keys; keys with many foreign signatures take some hundred kilobytes.
pub const RELEASE_KEY_BYTES: u64 = 1 << 20;
/// Files of one folder of keys that are read.
pub const RELEASE_KEY_FILES: usize = 256;
/// An image's configuration: grows with its history, not with its content.
pub const IMAGE_CONFIG_BYTES: u64 = 8 << 20;
/// What one layer may unfold to where it is looked into: a few megabytes of gzip that unfold to terabytes.
pub const LAYER_PLAIN_BYTES: u64 = 64 << 30;
/// Entries of one layer that is looked into: an archive of nothing but headers.
pub const LAYER_ENTRIES: usize = 4 << 20;
/// One extended header of a tar archive (a name, attributes); the container engines' own ceiling.
pub const TAR_HEADER_BYTES: u64 = 1 << 20;
/// A path inside of an image: Linux takes no longer one.
pub const PATH_BYTES: usize = 4096;
/// Names of one file in one layer: each further one costs another reading of the layer.
pub const HARD_LINKS: usize = 64;
/// Paths of one image that are kept track of.
pub const IMAGE_PATHS: usize = 4 << 20;
/// Bytes of all those paths.
pub const IMAGE_PATHS_BYTES: usize = 256 << 20;
/// The update graph's data as it comes (35 KB in 2024): an answer without end.
pub const GRAPH_DATA_BYTES: u64 = 64 << 20;
/// The same unfolded (1.3 MB in 2024): it is held in memory.
pub const GRAPH_DATA_PLAIN_BYTES: u64 = 256 << 20;
/// One object of an operator catalog (the largest real bundles have 1 MiB); also what it may unfold to by YAML aliases.
pub const CATALOG_OBJECT_BYTES: usize = 32 << 20;
/// One property of a bundle that is read: a constraint without end.
pub const CATALOG_PROPERTY_BYTES: usize = 256 << 10;
/// Objects of one operator catalog: each costs some hundred bytes of memory.
pub const CATALOG_OBJECTS: usize = 1 << 20;
/// A name, version or image in an operator catalog: one long text repeated by alias.
pub const CATALOG_NAME_BYTES: usize = 4096;
/// Items of one list in an operator catalog (images and properties of a bundle, entries of a channel), for the same reason.
pub const CATALOG_LIST: usize = 1 << 16;
/// Members of `any`, `all` and `not` inside of each other, in constraints.
pub const CONSTRAINT_DEPTH: usize = 16;
/// An `.indexignore`: each line is compiled into an automaton.
pub const INDEX_IGNORE_BYTES: u64 = 64 << 10;
/// Folders in folders of a catalog on disk.
pub const FOLDER_DEPTH: usize = 32;
/// A chart archive as it is downloaded; helm's own ceiling on what it unpacks to is not much higher.
pub const CHART_BYTES: u64 = 64 << 20;
/// What a chart archive and all archives inside of it unfold to (zip bomb); helm's own ceiling.
pub const CHART_PLAIN_BYTES: u64 = 100 << 20;
/// Plain bytes per packed byte of a chart archive: text reaches ten, a bomb reaches a thousand.
pub const CHART_RATIO: u64 = 200;
/// One file of a chart that is looked into; helm's own ceiling.
pub const CHART_FILE_BYTES: u64 = 5 << 20;
/// Files of one chart with all its sub-charts.
pub const CHART_FILES: usize = 20_000;
/// Charts inside charts.
pub const CHART_DEPTH: usize = 8;
/// The index of a chart repository (the largest public ones have some twenty megabytes).
pub const CHART_INDEX_BYTES: u64 = 128 << 20;
/// Values of one YAML document of a chart once its aliases are followed ("billion laughs").
pub const CHART_VALUES: usize = 1 << 19;
/// Values of a chart and all charts inside of it, with what these are given from outside; 32 bytes of text and 8 of a template weigh as
/// much as one. Global values are copied to every chart, and one chart may be inside under thousands of names.
pub const CHART_ALL_VALUES: usize = 1 << 21;
/// Bytes of text in one YAML document of a chart once its aliases are followed.
pub const CHART_TEXT: usize = 32 << 20;
/// Steps the reading of one chart's templates may take: templates can loop in loops.
pub const TEMPLATE_STEPS: usize = 2 << 20;
/// What one chart's templates may become, by `helm template` or by reading.
pub const RENDERED_BYTES: u64 = 64 << 20;
/// One text made in a template: doubled in a loop it would fill memory.
pub const TEMPLATE_TEXT: usize = 1 << 20;
/// Nesting of templates, blocks and calls (stack exhaustion).
pub const TEMPLATE_DEPTH: usize = 96;
/// Images of one chart.
pub const CHART_IMAGES: usize = 10_000;
/// One receipt in a registry or on this host, which anybody with push rights may have written.
pub const RECEIPT_BYTES: u64 = 256 << 20;
/// All receipts in a registry together: many large ones would fill memory.
pub const RECEIPTS_BYTES: u64 = 4 << 30;
/// Receipts of one target: a registry whose list of receipts does not end.
pub const RECEIPTS: usize = 4096;
/// Referrers of one manifest: real ones have a few dozen; a registry that lists more wants this program to fetch for ever.
pub const REFERRERS: usize = 1000;
/// Referrers of referrers: an SBOM, its signature, an attestation about that. Deeper chains are no one's.
pub const REFERRER_DEPTH: usize = 4;
/// A signed payload: a few hundred bytes of JSON.
pub const PAYLOAD_BYTES: u64 = 64 << 10;
/// `policy.json`: hand-written, a few kilobytes.
pub const POLICY_BYTES: u64 = 4 << 20;
/// OpenPGP signatures of one manifest in a lookaside: a store that always has another. As many as podman reads.
pub const LOOKASIDE_SIGNATURES: u32 = 128;
/// Files of one folder `registries.d`.
pub const REGISTRIES_D_FILES: usize = 1024;
/// Name of a document beside the images: a repository name with a digest and a number.
pub const DOCUMENT_NAME_CHARS: usize = 512;
/// Signatures of one image that are verified; each costs an elliptic-curve operation per key.
pub const IMAGE_SIGNATURES: usize = 1000;
