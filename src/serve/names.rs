//! Which names a layout gives, read again whenever its list changes.

use crate::digest::Digest;
use crate::fs::Stamp;
use crate::layout::{Error, Layout};
use crate::oci::{Descriptor, is_repository, is_tag};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The list of images at one moment.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tags by repository; an image whose name is not `repository:tag` can be had by its digest only.
    pub tags: BTreeMap<String, BTreeMap<String, Descriptor>>,
    /// Every entry, named or not, by digest.
    pub entries: HashMap<Digest, Descriptor>,
    /// Entries whose name is not `repository:tag`.
    pub nameless: usize,
}

impl Names {
    fn read(layout: &Layout) -> Result<Names, Error> {
        let mut names = Names::default();
        for image in layout.images()? {
            match image.name.as_deref().map(split) {
                Some(Some((repository, tag))) => {
                    names.tags.entry(repository.to_owned()).or_default().insert(tag.to_owned(), image.descriptor.clone());
                }
                Some(None) => names.nameless += 1,
                None => {}
            }
            names.entries.insert(image.descriptor.digest, image.descriptor);
        }
        Ok(names)
    }
}

/// `repository:tag`, if that is what it is.
fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(':').filter(|(repository, tag)| is_repository(repository) && is_tag(tag))
}

/// Keeps the last reading.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Option<(Stamp, Arc<Names>)>>);

impl Remembered {
    pub fn of(&self, layout: &Layout) -> Result<Arc<Names>, Error> {
        // Looked at before the file is read: if it is replaced in between, the next call reads again.
        let stamp = layout.stamp()?;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((known, names)), Some(stamp)) = (&*last, stamp)
            && *known == stamp
        {
            return Ok(names.clone());
        }
        let names = Arc::new(Names::read(layout)?);
        *last = stamp.map(|stamp| (stamp, names.clone()));
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repository_and_tag_make_a_name() {
        assert_eq!(split("a/b:1"), Some(("a/b", "1")));
        assert_eq!(split("quay.io/a:x_1"), Some(("quay.io/a", "x_1")));
        for bad in ["1.0", "a/b", "localhost:5000/a:1", "a:", "../a:1"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
