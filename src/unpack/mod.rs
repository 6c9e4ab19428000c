//! From verified media into a registry or a layout.
//!
//! [`plan`] asks the target what it lacks and says what will be read; [`run`] reads every volume at hand once, in
//! order, proves each blob, uploads it and pushes every image as soon as it is whole. Runs may be many, volumes may come
//! in any order: the state lies in the target, in the spool and in the ledger, never in a journal of its own.
//!
//! What is promised: nothing reaches the target before its digest was proven (save blobs that do not fit into the spool:
//! there the last byte is held back until the digest holds); an image's tag is set after everything below it; damage
//! found late undoes nothing; an older set moves no tag back.

#![deny(clippy::indexing_slicing)]

mod adapters;
mod beside;
mod board;
mod catalog;
mod direct;
mod error;
mod hold;
mod intake;
mod layout_target;
mod listing;
mod media;
mod plan;
mod probe;
mod report;
mod run;
mod select;
mod spool;
mod target;
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
pub(crate) mod tests;
mod work;

use crate::parallel;
pub use adapters::RegistryTarget;
pub(crate) use beside::is_shared;
pub(crate) use catalog::Catalog;
pub use error::{Damage, ImageError, UnpackError};
pub use layout_target::LayoutTarget;
pub(crate) use listing::{Arrival, list};
pub use media::{Media, MediaError, MediaTrouble, PartId, TakePart};
pub use plan::{PlannedBlob, PlannedImage, PlannedVolume, Road, Space, UnpackPlan, plan};
pub(crate) use plan::{completeness, planned_image};
pub(crate) use probe::{Found, Probe, Wanted, trouble};
pub use report::{Arrived, Counts, DoneImage, FailedImage, UnpackReport, WaitingImage};
pub use run::{Stopped, run};
pub use spool::Spool;
pub use target::{OpenBlob, PutAs, Target, TargetError, TargetTrouble};

use crate::format::{Blob, SetId};
use crate::image_set::{Destination, find_collision, max_nested_paths as flattened};
use crate::ledger::Log;
use crate::limits;
use crate::oci::is_repository;
use crate::progress::Progress;

/// How to unpack.
#[derive(Clone, Debug)]
pub struct Options {
    /// Repositories of the set go below this; empty: none.
    pub prefix: String,
    /// Names are flattened to this many path components, prefix included ([`crate::image_set::max_nested_paths`]); 0: they are not.
    pub max_nested_paths: usize,
    /// Patterns with `*`, compared with `repository:tag` and with the source; empty: everything.
    pub select: Vec<String>,
    /// Permits the first set of a stream.
    pub first: bool,
    /// Blobs up to this size in bytes go through memory.
    pub small: u64,
    /// Uploads at a time.
    pub uploads: usize,
    /// Questions to the target at a time.
    pub probes: usize,
    /// Bytes uploaded after which what has arrived early is held again, between volumes. Registries begin to collect after an
    /// hour; the default is reached well before.
    pub hold_every: u64,
    /// What this host is called among those that unpack into the same registry: the name its holds go by
    /// ([`crate::ledger::host_name`]). Characters of a tag; no other host's.
    pub host: String,
    /// The caller's clock (RFC 3339, UTC), for receipt and log.
    pub now: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            prefix: String::new(),
            max_nested_paths: 0,
            select: Vec::new(),
            first: false,
            small: 32 << 20,
            uploads: 4,
            probes: 6,
            hold_every: 8 << 30,
            host: String::new(),
            now: String::new(),
        }
    }
}

/// Bytes of blobs waiting in memory for their upload: what [`Spool::open`] is usually given.
pub const MEMORY: u64 = 64 << 20;

/// Everything a plan and its run work with.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The verified set.
    pub media: &'a dyn Media,
    /// Where it goes.
    pub target: &'a dyn Target,
    /// Where decoded blobs wait.
    pub spool: &'a Spool,
    /// The log of this host.
    pub log: &'a Log,
    /// How.
    pub options: &'a Options,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

impl Setting<'_> {
    fn set(&self) -> SetId {
        let index = self.media.index();
        SetId { stream: index.stream.clone(), sequence: index.sequence, identity: self.media.identity() }
    }

    /// Whether a blob goes through memory: small, and not in pieces that may come in different runs.
    fn fits_memory(&self, blob: &Blob) -> bool {
        blob.parts.len() == 1 && blob.size <= self.options.small
    }
}

/// The full name of a repository at the target: below `prefix`, flattened to `max_nested_paths` components unless that is 0.
///
/// # Errors
/// [`UnpackError::Name`] when that is no repository name; [`UnpackError::NoRoom`] when flattening would eat into the prefix.
pub fn place(prefix: &str, max_nested_paths: usize, repository: &str) -> Result<String, UnpackError> {
    let name = if prefix.is_empty() { repository.to_owned() } else { format!("{prefix}/{repository}") };
    let name = flattened(&name, max_nested_paths);
    if !is_repository(&name) || name.len() > limits::NAME_CHARS {
        return Err(UnpackError::Name { repository: name });
    }
    // Receipts name repositories below the prefix: a name that merges with it could not be found again.
    if !prefix.is_empty() && below(prefix, &name).len() == name.len() {
        return Err(UnpackError::NoRoom { prefix: prefix.to_owned(), max_nested_paths });
    }
    Ok(name)
}

/// Two images of a set never share a name; flattened, they may.
///
/// # Errors
/// [`UnpackError::Collision`]; as [`place`].
pub fn refuse_collisions(prefix: &str, max_nested_paths: usize, images: &[crate::format::Image]) -> Result<(), UnpackError> {
    let named = |image: &crate::format::Image| {
        let repository = place(prefix, max_nested_paths, &image.repository)?;
        Ok((image.source.clone(), Destination { repository, tag: image.tag.clone() }, image.root.digest))
    };
    let named = images.iter().map(named).collect::<Result<Vec<_>, UnpackError>>()?;
    find_collision(named.iter().map(|(from, to, digest)| (from.as_str(), to, *digest))).map_err(UnpackError::Collision)
}

/// A repository of the target as receipts name it: without the prefix and its slash.
pub fn below<'a>(prefix: &str, place: &'a str) -> &'a str {
    place.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).filter(|_| !prefix.is_empty()).unwrap_or(place)
}
