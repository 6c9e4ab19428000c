//! What shall be packed, however it was said.

use crate::digest::Digest;
use crate::format::{Document, Missing, Role};
use crate::image_set::{AdditionalImage, Blocked, ImageSet, Source};
use crate::oci::Platform;
use crate::oci::referrers::ReferrerFilter;

/// One image asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where it is.
    pub source: Source,
    /// Repository path at the target instead of its own.
    pub target_repo: Option<String>,
    /// Tag at the target instead of its own.
    pub target_tag: Option<String>,
    /// Platforms to carry; empty: all of them.
    pub platforms: Vec<Platform>,
    /// What it is for.
    pub role: Role,
    /// What needs it ([`crate::format::Image::part_of`]), in any order.
    pub part_of: Vec<String>,
    /// Set where this program made the image: it lies in the workspace.
    pub made: Option<Made>,
}

/// An image this program made while the wish was worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its root manifest, in the workspace.
    pub digest: Digest,
    /// Where the layers come from that were kept.
    pub base: Option<Source>,
}

impl Ask {
    /// An image asked for by its name alone.
    pub fn of(source: Source) -> Ask {
        Ask { source, target_repo: None, target_tag: None, platforms: Vec::new(), role: Role::Image, part_of: Vec::new(), made: None }
    }
}

impl From<AdditionalImage> for Ask {
    fn from(image: AdditionalImage) -> Ask {
        Ask { target_repo: image.target_repo, target_tag: image.target_tag, platforms: image.platforms, ..Ask::of(image.source) }
    }
}

/// Everything asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The images, in order.
    pub asks: Vec<Ask>,
    /// What must not be carried.
    pub blocked: Blocked,
    /// Volume size of the ImageSet, if it has one.
    pub volume_size: Option<u64>,
    /// Documents that travel beside the images, in any order.
    pub documents: Vec<Document>,
    /// What was asked for and is known already not to be had.
    pub missing: Vec<Missing>,
    /// Which referrers of the images (signatures, attestations, SBOMs) are carried with them.
    pub referrers: ReferrerFilter,
}

impl Wish {
    /// What an ImageSet says by itself: its images, what it blocks, its volume size. Releases, catalogs and charts have to be looked
    /// into first; what they become is added by the caller.
    pub fn of_image_set(set: ImageSet) -> Wish {
        Wish {
            asks: set.additional_images.into_iter().map(Ask::from).collect(),
            blocked: set.blocked,
            volume_size: set.archive_size,
            ..Wish::default()
        }
    }

    /// The wish of references on the command line.
    pub fn of_references(sources: Vec<Source>) -> Wish {
        Wish { asks: sources.into_iter().map(Ask::of).collect(), ..Wish::default() }
    }

    /// Restricts every image that says nothing itself to these platforms.
    pub fn on_platforms(mut self, platforms: &[Platform]) -> Wish {
        for ask in self.asks.iter_mut().filter(|ask| ask.platforms.is_empty()) {
            ask.platforms = platforms.to_vec();
        }
        self
    }
}
