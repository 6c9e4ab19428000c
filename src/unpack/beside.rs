//! Signatures that somebody made at the target.
//!
//! Who signs an image that is signed already adds to the manifest under cosign's tag. So the tag belongs to everybody, as the index of
//! referrers does: where it holds what the set does not, the set's manifest is kept under a tag of its own, and what the tag lacks is
//! added to what is there. Written over, the signatures by which a site lets its images run would be lost without a word.

use super::UnpackError;
use super::catalog::Catalog;
use super::listing::Answer;
use super::probe::{Found, Probe, Wanted, trouble};
use super::target::{PutAs, Target, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::limits;
use crate::oci::referrers::{completed, cosign_suffix, says_more};
use crate::oci::{Descriptor, Kind, Manifest, keep_tag};
use crate::progress::Level;
use std::io::{Cursor, Read};

/// Others may sign at the same time; who has written it three times in vain gives up.
const ROUNDS: u32 = 3;

/// Whether somebody may add to what lies under this tag. An SBOM is replaced.
pub(crate) fn is_shared(tag: &str, subject: &Digest) -> bool {
    matches!(cosign_suffix(tag, subject), Some("sig" | "att"))
}

impl Probe<'_> {
    /// Lets the tags that hold signatures of others stay: what would have been written over them is called by its digest.
    ///
    /// # Errors
    /// What ends a run.
    pub fn give_way(&self, catalog: &Catalog<'_>, wanted: &mut [Wanted], found: &mut Found) -> Result<(), UnpackError> {
        let other = |w: &Wanted| {
            let shared = w.image.subject.is_some_and(|subject| is_shared(&w.image.tag, &subject));
            let now = found.tags.get(&(w.image.repository.clone(), w.image.tag.clone()));
            now.copied().filter(|now| shared && *now != w.image.root.digest)
        };
        let asked: Vec<(usize, &Wanted, Digest)> = wanted.iter().enumerate().filter_map(|(at, w)| Some((at, w, other(w)?))).collect();
        let answers = self.ask(&asked, |(_, w, now)| {
            let Some((_, ours)) = catalog.document(&w.image.root.digest) else { return Ok(false) };
            match self.target.manifest(&w.place, now) {
                Ok(theirs) => Ok(theirs.is_some_and(|theirs| says_more(&theirs, &ours))),
                Err(error) if error.trouble.ends_run() => Err(trouble(format!("{}:{}", w.place, w.image.tag), error)),
                // What could not be read today is not written over; what never can be holds nothing that could be kept.
                Err(error) => Ok(error.trouble == TargetTrouble::Failing),
            }
        })?;
        let stay: Vec<usize> = asked.iter().zip(answers).filter(|(_, stays)| *stays).map(|((at, ..), _)| *at).collect();
        if stay.is_empty() {
            return Ok(());
        }
        for at in &stay {
            if let Some(w) = wanted.get_mut(*at) {
                w.image.tag = keep_tag(&w.image.root.digest);
            }
        }
        let line = format!("signatures made at the target stay; tags that are added to and not replaced: {}", stay.len());
        self.progress.say(Level::Info, &line);
        self.tags(stay.iter().filter_map(|at| wanted.get(*at)).map(|w| (w, w.image.tag.clone())), found)
    }
}

/// Adds to what lies under a cosign tag what it lacks of `ours`, whose layers are in the repository.
pub(super) fn add(target: &dyn Target, place: &str, tag: &str, ours: &[u8]) -> Result<Answer, TargetError> {
    for round in 0..=ROUNDS {
        let Some(theirs) = target.tagged_manifest(place, tag)? else { return Ok(Answer::Not(format!("the tag {tag} is gone"))) };
        let Ok(Manifest { kind: Kind::Image { config, .. }, media_type, .. }) = Manifest::parse(&theirs, None) else {
            return Ok(Answer::Not(format!("the tag {tag} is taken by something that holds no signatures")));
        };
        let counted = read(target, place, &config)?;
        match completed(&theirs, &counted, ours) {
            Ok(None) => return Ok(Answer::Listed),
            // Read again after the last time it was written, and there is no further time.
            Ok(Some(_)) if round == ROUNDS => break,
            Ok(Some(more)) => {
                let config = Descriptor::new(config.media_type, Digest::sha256(&more.config), more.config.len() as u64);
                target.put_blob(place, &config, &mut || Ok(Box::new(Cursor::new(more.config.clone()))))?;
                target.put_manifest(place, PutAs::Tag(tag), &media_type, &more.manifest)?;
            }
            Err(why) => return Ok(Answer::Not(format!("nothing can be added to the tag {tag}: {why}"))),
        }
    }
    Ok(Answer::Not(format!("the tag {tag} does not stay as it was written: something else changes it")))
}

/// A configuration. It only counts what is there: one that is too large to do so is left as it is by who signs next.
fn read(target: &dyn Target, place: &str, config: &Descriptor) -> Result<Vec<u8>, TargetError> {
    let mut bytes = Vec::new();
    let read = target.open_blob(place, config)?.take(limits::IMAGE_CONFIG_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| TargetError::new(TargetTrouble::Failing, error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::doubles::Registry;
    use super::*;
    use crate::oci::media;
    use crate::oci::referrers::COSIGN_SIGNATURE;
    use serde_json::json;
    use std::sync::atomic::Ordering;

    const PLACE: &str = "p/team/app";
    const TAG: &str = "sha256-00.sig";
    const BLOB: &[u8] = b"{}";

    fn signed(signature: &str) -> Vec<u8> {
        let (digest, size) = (Digest::sha256(BLOB), BLOB.len());
        let config = json!({"mediaType": "application/json", "digest": digest, "size": size});
        let layer = json!({"mediaType": "application/json", "digest": digest, "size": size, "annotations": {COSIGN_SIGNATURE: signature}});
        json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [layer]}).to_string().into_bytes()
    }

    /// A registry in which the site has signed.
    fn registry() -> Registry {
        let registry = Registry::new();
        let blob = Descriptor::new("application/json", Digest::sha256(BLOB), BLOB.len() as u64);
        registry.put_blob(PLACE, &blob, &mut || Ok(Box::new(Cursor::new(BLOB.to_vec())))).unwrap();
        registry.put_manifest(PLACE, PutAs::Tag(TAG), media::OCI_MANIFEST, &signed("theirs")).unwrap();
        registry
    }

    /// Somebody writes over the tag, so many times, each time before it is read once more.
    fn written_over(left: u32, round: usize, registry: &Registry) {
        registry.inner.lock().unwrap().tags.get_mut(PLACE).unwrap().insert(TAG.into(), Digest::sha256(&signed("theirs")));
        if left > 1 {
            let next = registry.operations.load(Ordering::SeqCst) - 1 + round;
            *registry.meanwhile.lock().unwrap() = Some((next, Box::new(move |registry| written_over(left - 1, round, registry))));
        }
    }

    #[test]
    fn the_last_of_all_writings_is_read_as_well() {
        let calm = registry();
        let begin = calm.operations.load(Ordering::SeqCst);
        assert!(matches!(add(&calm, PLACE, TAG, &signed("ours")), Ok(Answer::Listed)));
        // Tag and configuration are read once more at the end.
        let round = calm.operations.load(Ordering::SeqCst) - begin - 2;
        for (times, is_in) in [(1, true), (ROUNDS - 1, true), (ROUNDS, false)] {
            let registry = registry();
            let over = Box::new(move |registry: &Registry| written_over(times, round, registry));
            *registry.meanwhile.lock().unwrap() = Some((begin + round, over));
            let added = add(&registry, PLACE, TAG, &signed("ours")).unwrap();
            assert_eq!(matches!(added, Answer::Listed), is_in, "written over {times} times");
            assert!(registry.meanwhile.lock().unwrap().is_none());
            let now = registry.tagged_manifest(PLACE, TAG).unwrap().unwrap();
            assert_eq!(!says_more(&signed("ours"), &now), is_in);
        }
    }
}
