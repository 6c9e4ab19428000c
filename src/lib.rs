//! Sealift carries container images across an air gap: signed, size-bounded, checkable volumes.
//!
//! # Two roads
//!
//! ```text
//! pack:    Wish -> resolve -> PackPlan -> fetch (workspace) -> volumes -> documents -> signature -> read back
//! unpack:  signature -> index -> contents -> UnpackPlan -> blocks -> frames -> digests -> spool -> uploads -> tags -> receipt
//! ```
//!
//! A plan is data; running it decides nothing new. What is written is described in `man/sealift-archive.5`, section by section;
//! [`mod@format`] has one file for each. What crosses from step to step carries its promise in its type: [`sign::Verified`] is made
//! only where signatures are judged, [`blob::Verified`] ends only when size and digest hold.
//!
//! # Layers
//!
//! Dependencies point one way; a test compares this table with the code.
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | 0 | [`digest`], [`limits`], [`progress`], [`text`], [`fault`], [`parallel`], [`buffers`], [`x509`] | std, hash crates, `bytes` |
//! | 1 | [`oci`], [`blob`], [`web`], [`yaml`] | 0 |
//! | 2 | [`sign`], [`codec`], [`image_set`], [`mod@format`] (which uses `sign` and `codec`), [`openpgp`], [`policy`] (which uses `format`, `image_set` and `openpgp`) | 0, 1; no files, sockets, clock |
//! | 3 | [`fs`]; [`keystore`], [`ledger`], [`registry`], [`layout`], [`archive`], [`lookaside`] | 0 to 2 and `fs`, never each other |
//! | 4 | [`origin`]: where images come from | 0 to 3 |
//! | 5 | [`pack`], [`unpack`], [`preflight`], [`serve`], [`openshift`], [`helm`]; [`cluster`] (only 0 to 2) | 0 to 4, never each other |
//! | 6 | [`gather`] (an ImageSet becomes a wish), [`mirror`], [`inventory`] | 0 to 5, never each other |
//! | 7 | [`error`] | the errors of all above |
//! | 8 | [`cli`] | everything; only here: terminal, environment, home, exit |
//!
//! # Words
//!
//! *Set*: what one pack makes. *Volume*: one of its tarballs. *Medium*: what a person carries. *Index*: the signed document.
//! *Contents*: the document it binds, with images and places. *Part*: a run of frames of one blob in one volume. *Block*: a fixed
//! slice of a volume, the unit of verification. *Stream*: a line of sets whose sequences are compared; the principal of trust.
//! *Spool*: where proven blobs wait for their upload. *Hold*: a manifest that keeps early blobs from being collected.
//! *Ledger*: what this side has accepted or issued.

pub mod archive;
pub mod blob;
pub mod buffers;
pub mod cli;
pub mod cluster;
pub mod codec;
pub mod digest;
pub mod error;
pub mod fault;
pub mod format;
pub mod fs;
pub mod gather;
pub mod helm;
pub mod image_set;
pub mod inventory;
pub mod keystore;
pub mod layout;
pub mod ledger;
pub mod limits;
pub mod lookaside;
pub mod mirror;
pub mod oci;
pub mod openpgp;
pub mod openshift;
pub mod origin;
pub mod pack;
pub mod parallel;
pub mod policy;
pub mod preflight;
pub mod progress;
pub mod registry;
pub mod serve;
pub mod sign;
pub mod text;
pub mod unpack;
pub mod web;
pub mod x509;
pub mod yaml;
