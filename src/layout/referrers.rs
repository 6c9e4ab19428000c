//! What refers to a manifest of a layout.
//!
//! Tools write it in three ways: entries of `index.json` whose manifest names its subject (ORAS), an index under the fallback tag
//! (regclient), and cosign's tags.

use super::{Error, Layout};
use crate::digest::Digest;
use crate::oci::referrers::{Attached, COSIGN_SUFFIXES, Referrer, ReferrerFilter, cosign_tag, fallback_tag, read_list};
use std::collections::{BTreeMap, BTreeSet};

/// What refers to what by its own `subject`.
pub(super) type Subjects = BTreeMap<Digest, BTreeSet<Digest>>;

impl Layout {
    /// What is said to refer to `subject`. `index.json` is looked through once: as it was when first asked.
    pub fn referrers(&self, subject: &Digest, filter: &ReferrerFilter) -> Result<Vec<Referrer>, Error> {
        let images = self.images()?;
        let tagged = |tag: &str| images.iter().find(|image| image.answers_to(tag)).map(|image| image.descriptor.digest);
        let mut found = Vec::new();
        for suffix in COSIGN_SUFFIXES.into_iter().filter(|suffix| filter.asks_tag(suffix)) {
            let tag = cosign_tag(subject, suffix);
            found.extend(tagged(&tag).map(|digest| Referrer { digest, tag: Some(tag) }));
        }
        if filter.asks_list() {
            let mut listed = self.subjects()?.get(subject).cloned().unwrap_or_default();
            if let Some(list) = tagged(&fallback_tag(subject)).filter(|digest| digest != subject) {
                let bytes = self.manifest(&list)?;
                listed.extend(read_list(&bytes).unwrap_or_default().into_iter().map(|entry| entry.digest));
            }
            found.extend(listed.into_iter().map(|digest| Referrer { digest, tag: None }));
        }
        Ok(found)
    }

    fn subjects(&self) -> Result<&Subjects, Error> {
        if let Some(known) = self.subjects.get() {
            return Ok(known);
        }
        let mut subjects = Subjects::new();
        for image in self.images()? {
            let digest = image.descriptor.digest;
            // Only manifests can refer to something; what is not here, or too large to be one, is told where it is asked for.
            let Ok(bytes) = self.manifest(&digest) else { continue };
            if let Some(subject) = Attached::parse(&bytes).subject {
                subjects.entry(subject).or_default().insert(digest);
            }
        }
        Ok(self.subjects.get_or_init(|| subjects))
    }
}
