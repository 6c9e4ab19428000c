//! What shall be packed, however it was said.

use super::Error;
use crate::image_set::{Blocked, ImageSet, Source};
use crate::oci::Platform;

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
}

impl Wish {
    /// The wish of an ImageSet. Members that this version reads but cannot resolve make the whole set refused: a set that
    /// silently lacked them would be found out inside.
    pub fn of_image_set(set: ImageSet) -> Result<Wish, Error> {
        let unsupported = set.unsupported();
        if !unsupported.is_empty() {
            return Err(Error::Unsupported(unsupported.into_iter().map(str::to_owned).collect()));
        }
        let ask = |image: crate::image_set::AdditionalImage| Ask {
            source: image.source,
            target_repo: image.target_repo,
            target_tag: image.target_tag,
            platforms: image.platforms,
        };
        Ok(Wish { asks: set.additional_images.into_iter().map(ask).collect(), blocked: set.blocked, volume_size: set.archive_size })
    }

    /// The wish of references on the command line.
    pub fn of_references(sources: Vec<Source>) -> Wish {
        let ask = |source| Ask { source, target_repo: None, target_tag: None, platforms: Vec::new() };
        Wish { asks: sources.into_iter().map(ask).collect(), ..Wish::default() }
    }

    /// Restricts every image that says nothing itself to these platforms.
    pub fn on_platforms(mut self, platforms: &[Platform]) -> Wish {
        for ask in self.asks.iter_mut().filter(|ask| ask.platforms.is_empty()) {
            ask.platforms = platforms.to_vec();
        }
        self
    }
}
