//! Sigstore signatures that lie beside images as tags (`sha256-HEX.sig`, cosign's signature specification, "Storage").

use super::releases::each;
use super::{Gathered, World};
use crate::digest::Digest;
use crate::format::Role;
use crate::image_set::Source;
use crate::oci::{Manifest, Reference};
use crate::origin::{Origin, OriginError};
use crate::pack::Ask;
use std::collections::BTreeMap;

/// The signatures there are of the images asked for: of each image, and of each member of an index. Each is asked for once, several
/// at a time; an image without one is no failure, and neither is an image that cannot be had (that is told where it is packed).
///
/// Where a source does not answer, whether there is a signature is not known. Clusters refuse a release whose signature is missing,
/// so that is among [`Gathered::failures`] for what belongs to a release, and noted for everything else.
///
/// They go to the repository their image goes to, under the tag they have: that is where a cluster's policy looks for them.
pub fn sigstore(asks: &[Ask], world: &World<'_>) -> Gathered {
    // One image, asked for by several releases or catalogs or under several names, is looked at once.
    let mut images: BTreeMap<String, Vec<&Ask>> = BTreeMap::new();
    let can_have = asks.iter().filter(|ask| ask.made.is_none() && ask.role != Role::Signature);
    can_have.for_each(|ask| images.entry(ask.source.to_string()).or_default().push(ask));
    let images: Vec<Vec<&Ask>> = images.into_values().collect();
    let found = each(world.parallel, &images, world.progress, |asks| asks.first().map(|ask| of_image(ask, world)).unwrap_or_default());
    let mut gathered = Gathered::default();
    for (asks, Found { sources, unknown }) in images.iter().zip(found.into_iter().map(Option::unwrap_or_default)) {
        gathered.asks.extend(asks.iter().flat_map(|ask| sources.iter().map(|source| beside(ask, source))));
        let of_release = asks.iter().any(|ask| matches!(ask.role, Role::Release | Role::ReleaseContent | Role::KubeVirt));
        for (name, error) in unknown {
            match of_release {
                true => gathered.failures.push((format!("signature {name}"), error.into())),
                false => gathered.notes.push(format!("whether there is a signature {name} could not be asked for: {error}")),
            }
        }
    }
    gathered.asks = each_once(gathered.asks);
    gathered
}

/// The signature as it goes along with an image.
fn beside(ask: &Ask, source: &Source) -> Ask {
    let target_repo = ask.target_repo.clone().or_else(|| own_repository(ask));
    Ask { target_repo, role: Role::Signature, part_of: ask.part_of.clone(), ..Ask::of(source.clone()) }
}

/// An image that several releases share has one signature, which all of them need.
fn each_once(found: Vec<Ask>) -> Vec<Ask> {
    let mut positions = BTreeMap::new();
    let mut once: Vec<Ask> = Vec::new();
    for ask in found {
        match positions.get(&(ask.source.to_string(), ask.target_repo.clone())).and_then(|at: &usize| once.get_mut(*at)) {
            Some(first) => first.part_of.extend(ask.part_of),
            None => {
                positions.insert((ask.source.to_string(), ask.target_repo.clone()), once.len());
                once.push(ask);
            }
        }
    }
    once
}

/// The signatures of one image, and those that could not be asked for.
#[derive(Default)]
struct Found {
    sources: Vec<Source>,
    unknown: Vec<(String, OriginError)>,
}

fn of_image(ask: &Ask, world: &World<'_>) -> Found {
    let mut found = Found::default();
    let Source::Registry(reference) = &ask.source else { return found };
    let root = world.origins.open(&ask.source).and_then(|origin| {
        let (root, _) = origin.resolve(&ask.source)?;
        Ok((signed(origin.as_ref(), root)?, origin))
    });
    // Whoever packs it hears why.
    let Ok((digests, origin)) = root else { return found };
    for digest in digests {
        let tag = format!("sha256-{}.sig", digest.hex());
        let source = Source::Registry(Reference { tag: Some(tag), digest: None, ..reference.clone() });
        match origin.resolve(&source) {
            Ok(_) => found.sources.push(source),
            Err(OriginError::NoImage { .. }) => {}
            Err(error) => found.unknown.push((source.to_string(), error)),
        }
    }
    found
}

fn own_repository(ask: &Ask) -> Option<String> {
    match &ask.source {
        Source::Registry(reference) => Some(reference.path.clone()),
        _ => None,
    }
}

/// What may have a signature: the root, and the members of an index.
fn signed(origin: &dyn Origin, root: Digest) -> Result<Vec<Digest>, OriginError> {
    let (bytes, media_type) = origin.manifest(&root)?;
    let manifest = Manifest::parse(&bytes, media_type.as_deref()).map_err(|error| OriginError::Manifest { digest: root, error })?;
    let members = manifest.children().iter().map(|child| child.digest);
    Ok(std::iter::once(root).chain(members).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Outside;
    use super::*;
    use crate::oci::Descriptor;
    use crate::openshift::files::testing::{image, index};
    use crate::origin::Origins;
    use crate::pack::Made;
    use std::io::Read;
    use std::sync::{Arc, Mutex};

    /// A registry that writes down which tags are asked for, and breaks off for some.
    struct Shaky<'a> {
        outside: &'a Outside,
        asked: Arc<Mutex<Vec<String>>>,
        breaks: String,
    }

    impl Origins for Shaky<'_> {
        fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError> {
            Ok(Arc::new(ShakyOrigin(self.outside.open(source)?, self.asked.clone(), self.breaks.clone())))
        }
    }

    struct ShakyOrigin(Arc<dyn Origin>, Arc<Mutex<Vec<String>>>, String);

    impl Origin for ShakyOrigin {
        fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
            let Source::Registry(reference) = source else { unreachable!() };
            self.1.lock().unwrap().extend(reference.tag.clone());
            match &reference.tag {
                Some(tag) if *tag == self.2 => Err(OriginError::NoWorkspace),
                _ => self.0.resolve(source),
            }
        }

        fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
            self.0.manifest(digest)
        }

        fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
            self.0.open_at(blob, offset)
        }
    }

    #[test]
    fn each_signature_is_asked_for_once_and_silence_is_not_taken_for_its_absence() {
        let outside = Outside::new();
        let members = ["amd64", "arm64"].map(|arch| image(&outside.far, arch, serde_json::json!({}), &[]));
        let root = index(&outside.far, &members);
        let tag = |digest: &Digest| format!("sha256-{}.sig", digest.hex());
        let signature = image(&outside.far, "amd64", serde_json::json!({"x": 1}), &[]);
        outside.far.tag(&format!("ocp/content:{}", tag(&root.digest)), &signature).unwrap();
        let ask = |role, repo: &str, part: &str| Ask {
            role,
            target_repo: Some(repo.into()),
            part_of: vec![part.into()],
            ..Ask::of(Source::parse(&format!("registry.test/ocp/content@{}", root.digest)).unwrap())
        };
        let run = |breaks: &str, asks: &[Ask]| {
            let asked = Arc::new(Mutex::default());
            let origins = Shaky { outside: &outside, asked: asked.clone(), breaks: breaks.into() };
            let gathered = sigstore(asks, &World { origins: &origins, ..outside.world() });
            let mut asked: Vec<String> = asked.lock().unwrap().clone();
            asked.sort();
            (gathered, asked)
        };
        let of_releases = [ask(Role::ReleaseContent, "openshift/release", "a"), ask(Role::ReleaseContent, "openshift/release", "b")];
        let (gathered, asked) = run("", &of_releases);
        let mut all: Vec<String> = [&root, &members[0], &members[1]].map(|d| tag(&d.digest)).into();
        all.sort();
        assert_eq!(asked, all);
        let [found] = gathered.asks.as_slice() else { panic!("{gathered:?}") };
        assert_eq!((found.part_of.as_slice(), found.target_repo.as_deref()), (&["a".into(), "b".into()][..], Some("openshift/release")));
        assert!(gathered.failures.is_empty() && gathered.notes.is_empty(), "{gathered:?}");
        // It is there, and the registry does not say so.
        let (gathered, _) = run(&tag(&root.digest), &of_releases);
        let [(name, _)] = gathered.failures.as_slice() else { panic!("{gathered:?}") };
        assert_eq!(*name, format!("signature registry.test/ocp/content:{}", tag(&root.digest)));
        let (gathered, _) = run(&tag(&root.digest), &[ask(Role::Related, "x", "operator")]);
        assert_eq!((gathered.failures.len(), gathered.notes.len()), (0, 1));
        // What is built has another digest than what it was built from; the original has its signature all the same.
        let made = Ask { made: Some(Made { digest: root.digest, base: None }), ..ask(Role::Catalog, "c", "") };
        assert_eq!(run("", std::slice::from_ref(&made)).1.len(), 0);
        assert_eq!(run("", &[made, ask(Role::Image, "d", "")]).0.asks.len(), 1);
    }
}
