//! From registry to registry, without an archive between.
//!
//! ```text
//! PackPlan -> names at the target -> what is there -> MirrorPlan -> blobs (mounted or streamed) -> manifests -> tags -> receipt
//! ```
//!
//! The images and their digests come from [`crate::pack::plan()`], which has asked the sources; [`plan()`] asks the target what it
//! has, and [`run()`] brings the rest. Each blob is fetched once and streamed straight into its upload, proven while it passes;
//! large ones, and those whose first try failed, go through the workspace, where a stopped transfer is taken up in its middle.
//! Each image is pushed as soon as it is whole, children first and its tag last; late ones (catalogs) when all others are in.
//! There is no state beside the two registries: a run that was stopped goes on by what it finds at the target.
//!
//! What is promised: no byte becomes visible at the target before its digest was proven; an image's tag is set after everything
//! below it; two images of one name are refused before anything is pushed. A tag that names something else is replaced: a mirror
//! follows its source, and there is no sequence by which it could be told which is newer.

mod deliver;
mod error;
mod plan;
mod report;
mod run;
#[cfg(test)]
mod tests;

pub use error::{ImageFailure, MirrorError, Stopped};
pub use plan::{MirrorPlan, PlannedBlob, plan};
pub use report::{FailedImage, MirrorReport};
pub use run::run;

use crate::layout::Layout;
use crate::ledger::Log;
use crate::origin::Origins;
use crate::pack::PackPlan;
use crate::progress::Progress;
use crate::unpack::Target;

/// The stream of receipts that mirroring writes.
pub const STREAM: &str = "mirror";

/// How to mirror.
#[derive(Clone, Debug)]
pub struct Options {
    /// Repositories go below this; empty: none.
    pub prefix: String,
    /// Names are flattened to this many path components, prefix included ([`crate::image_set::max_nested_paths`]); 0: they are not.
    pub max_nested_paths: usize,
    /// Catalogs are pushed even where other images failed.
    pub keep_going: bool,
    /// Blobs up to this size in bytes are streamed; larger ones go through the workspace, so that a broken transfer costs no
    /// second one.
    pub stream_up_to: u64,
    /// Blobs and images at a time.
    pub transfers: usize,
    /// Questions to the target at a time.
    pub probes: usize,
    /// Sequence of the receipt: seconds since 1970.
    pub sequence: u64,
    /// The caller's clock (RFC 3339, UTC), for receipt and log.
    pub now: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            prefix: String::new(),
            max_nested_paths: 0,
            keep_going: false,
            stream_up_to: 256 << 20,
            transfers: 6,
            probes: 6,
            sequence: 0,
            now: String::new(),
        }
    }
}

/// Everything a plan and its run work with.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// What shall be there.
    pub wish: &'a PackPlan,
    /// Where it is now.
    pub origins: &'a dyn Origins,
    /// Where it goes.
    pub target: &'a dyn Target,
    /// Where large blobs, and images this program made, lie meanwhile.
    pub workspace: &'a Layout,
    /// The log of this host.
    pub log: &'a Log,
    /// How.
    pub options: &'a Options,
    /// Who watches.
    pub progress: &'a dyn Progress,
}
