//! Which images of a set are about which others.

use super::{Image, Manifests};
use crate::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// For each image, the positions of the referrers that go with it: about its root or a member of it, about those in turn, and so on.
pub fn referrers(images: &[Image], manifests: &Manifests) -> Vec<BTreeSet<usize>> {
    let mut about: BTreeMap<(&str, Digest), Vec<usize>> = BTreeMap::new();
    for (at, image) in images.iter().enumerate() {
        if let Some(subject) = image.subject {
            about.entry((&image.repository, subject)).or_default().push(at);
        }
    }
    images.iter().map(|image| if about.is_empty() { BTreeSet::new() } else { of_one(image, images, manifests, &about) }).collect()
}

fn of_one(image: &Image, images: &[Image], manifests: &Manifests, about: &BTreeMap<(&str, Digest), Vec<usize>>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut pending = vec![image.root.digest];
    while let Some(digest) = pending.pop() {
        if !seen.insert(digest) {
            continue;
        }
        pending.extend(manifests.get(&digest).into_iter().flat_map(|m| m.children().iter().map(|c| c.digest)));
        for at in about.get(&(image.repository.as_str(), digest)).into_iter().flatten() {
            found.insert(*at);
            pending.extend(images.get(*at).map(|image| image.root.digest));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Role, Root};
    use crate::oci::{Manifest, keep_tag};

    fn image(text: &str, subject: Option<Digest>) -> (Image, Manifest) {
        let digest = Digest::sha256(text.as_bytes());
        let root = Root { media_type: String::new(), digest, size: text.len() as u64 };
        let role = if subject.is_some() { Role::Referrer } else { Role::Image };
        let image = Image { role, subject, ..Image::plain("a", &keep_tag(&digest), root) };
        (image, Manifest::parse(text.as_bytes(), None).unwrap())
    }

    #[test]
    fn referrers_of_members_and_of_referrers_count() {
        let blob = format!(r#"{{"digest":"{}","size":0}}"#, Digest::sha256(b""));
        let (member, member_manifest) = image(&format!(r#"{{"config":{blob}}}"#), None);
        let (index, index_manifest) =
            image(&format!(r#"{{"manifests":[{{"digest":"{}","size":{}}}]}}"#, member.root.digest, member.root.size), None);
        let (sbom, sbom_manifest) = image(&format!(r#"{{"config":{blob},"x":1}}"#), Some(member.root.digest));
        let (of_sbom, of_sbom_manifest) = image(&format!(r#"{{"config":{blob},"x":2}}"#), Some(sbom.root.digest));
        let (mut elsewhere, _) = image(&format!(r#"{{"config":{blob},"x":3}}"#), Some(index.root.digest));
        elsewhere.repository = "b".into();
        let manifests = [(&member, member_manifest), (&index, index_manifest), (&sbom, sbom_manifest), (&of_sbom, of_sbom_manifest)]
            .into_iter()
            .map(|(image, manifest)| (image.root.digest, manifest))
            .collect();
        let of = referrers(&[index, sbom, of_sbom, elsewhere], &manifests);
        assert_eq!(of, [BTreeSet::from([1, 2]), BTreeSet::from([2]), BTreeSet::new(), BTreeSet::new()]);
    }
}
