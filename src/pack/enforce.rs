//! A signature policy applied to a plan: before anything is fetched but manifests and what signatures sign.

use super::referrers::Search;
use super::resolve::{Resolved, resolve};
use super::run::without;
use super::{Ask, Error, Failure, PackPlan, Reason};
use crate::digest::Digest;
use crate::format::{Image, ManifestData, Manifests, image_signatures};
use crate::fs::{is_folder, real_path};
use crate::image_set::Source;
use crate::limits;
use crate::lookaside::{LookasideError, Lookasides};
use crate::oci::referrers::ReferrerFilter;
use crate::oci::{Descriptor, Manifest};
use crate::origin::{Origin, Origins};
use crate::policy::{Evidence, Judged, Lack, Lying, Policy, Refused, judge};
use crate::progress::Progress;
use crate::web::Web;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

/// What a plan is judged with.
pub struct Court<'a> {
    /// What is demanded.
    pub policy: &'a Policy,
    /// Images.
    pub origins: &'a dyn Origins,
    /// Where OpenPGP signatures lie.
    pub lookasides: &'a Lookasides,
    /// How they are had.
    pub web: &'a dyn Web,
    /// Whether an image with this root was made on this machine, by this program, of this base: a plan is passed on, and edited.
    pub made: &'a (dyn Fn(&Digest, Option<&str>) -> bool + Sync),
    /// The time keys and signatures must be valid at, in seconds since 1970.
    pub now: u64,
    /// Requests at a time.
    pub parallel: usize,
    /// Who watches; also asked whether to stop.
    pub progress: &'a dyn Progress,
}

/// The folder that is read where the source is fetched, which is there.
fn lying(source: &Source) -> Vec<Lying> {
    let Source::Layout { dir, tag: name, digest: _ } = source.clone().settled(&|dir| is_folder(Path::new(dir)).unwrap_or(false)) else {
        return Vec::new();
    };
    let folder = real_path(Path::new(&dir)).ok().map(|path| path.display().to_string());
    folder.into_iter().map(|folder| Lying { folder, name: name.clone() }).collect()
}

/// Judges a plan. Images the policy refuses come back as failures, beside the plan without them and what refers to them; whether
/// that may be packed is the caller's choice.
///
/// An image is judged by signatures that travel: that are in the plan. One this program made of another one is judged by that one, as
/// it is at its source now; one that is only said to be made here is refused. `code` gives the stable code of a failure for the index.
///
/// # Errors
/// [`Error::Plan`] for a plan whose parts do not fit together; [`Error::Interrupted`].
pub fn enforce(plan: &PackPlan, court: &Court<'_>, code: &dyn Fn(&Failure) -> String) -> Result<(PackPlan, Vec<Failure>), Error> {
    let Court { policy, origins, parallel, progress, .. } = *court;
    let payloads = Payloads { origins, known: Mutex::default() };
    let fetch = |image: &Image, payload: &Descriptor| payloads.get(image, payload);
    let stores = Stores { court, down: RefCell::default() };
    let carried = image_signatures(&plan.documents);
    let signatures = |image: &Image, digest: &Digest| match carried.get(&(image.repository.clone(), *digest)) {
        Some(known) => Ok(known.clone()),
        None => stores.not_carried(image, digest),
    };
    let evidence = Evidence { payload: &fetch, signatures: &signatures, folder: &lying, now: court.now };
    let mut failures: Vec<Failure> = refused(judge(policy, &plan.images, &plan.parsed()?, &evidence), &plan.images).collect();
    let signatures = |image: &Image, digest: &Digest| stores.find(image, digest);
    let evidence = Evidence { signatures: &signatures, ..evidence };
    let search = Search { origins, filter: &ReferrerFilter::none().with_signatures(), parallel, progress };
    let mut bases: BTreeMap<&str, Option<Refused>> = BTreeMap::new();
    for image in &plan.images {
        let Some(made) = &image.made else { continue };
        if !(court.made)(&image.root.digest, made.base.as_deref()) {
            failures.push(Failure::of(image, Reason::Policy(made_elsewhere())));
            continue;
        }
        let Some(base) = made.base.as_deref() else { continue };
        let verdict = match bases.get(base) {
            Some(known) => known.clone(),
            None => {
                let verdict = base_refused(base, policy, &search, &evidence)?;
                bases.insert(base, verdict.clone());
                verdict
            }
        };
        failures.extend(verdict.map(|refused| Failure::of(image, Reason::Policy(refused))));
    }
    if progress.cancelled() {
        return Err(Error::Interrupted);
    }
    if failures.is_empty() {
        return Ok((plan.clone(), failures));
    }
    Ok((without(plan, &failures, code)?, failures))
}

/// What the lookasides have now. One that has failed is not asked again: a thousand images would wait for it a thousand times.
struct Stores<'a> {
    court: &'a Court<'a>,
    /// Stores that failed, and how.
    down: RefCell<BTreeMap<String, String>>,
}

impl Stores<'_> {
    /// The signatures of a manifest as its lookaside has them.
    fn find(&self, image: &Image, digest: &Digest) -> Result<Vec<Vec<u8>>, Lack> {
        let Ok(Source::Registry(reference)) = Source::parse_recorded(&image.source) else { return Err(Lack::NoStore) };
        let store = self.court.lookasides.store(&reference).ok_or(Lack::NoStore)?.name();
        if let Some(why) = self.down.borrow().get(&store) {
            return Err(Lack::Other(why.clone()));
        }
        let found = self.court.lookasides.signatures(&reference, digest, self.court.web);
        if let Err(error @ LookasideError::Store { .. }) = &found {
            self.down.borrow_mut().insert(store, error.to_string());
        }
        found.map_err(|error| Lack::Other(error.to_string()))?.ok_or(Lack::NoStore)
    }

    /// Why the plan has none. What is at the lookaside and not in the plan would not be there inside.
    fn not_carried(&self, image: &Image, digest: &Digest) -> Result<Vec<Vec<u8>>, Lack> {
        match self.find(image, digest)?.is_empty() {
            true => Ok(Vec::new()),
            false => Err(Lack::NotCarried("its lookaside has OpenPGP signatures that the plan does not carry")),
        }
    }
}

/// What only says of itself that it was made.
fn made_elsewhere() -> Refused {
    let why = "the plan says that sealift made it, and it was not made here".to_owned();
    Refused { scope: "what sealift makes".to_owned(), why, lack: Some(Lack::MadeElsewhere) }
}

fn refused(judged: Vec<Judged>, images: &[Image]) -> impl Iterator<Item = Failure> {
    judged.into_iter().filter_map(|judged| {
        let image = images.get(judged.image)?;
        Some(Failure::of(image, Reason::Policy(judged.verdict.err()?)))
    })
}

/// Judges what an image was made of. What cannot be had cannot be accepted.
fn base_refused(base: &str, policy: &Policy, search: &Search<'_>, evidence: &Evidence<'_>) -> Result<Option<Refused>, Error> {
    let source = Source::parse_recorded(base).map_err(|e| Error::Plan(e.to_string()))?;
    let ask = Ask { target_tag: Some("base".into()), ..Ask::of(source) };
    let resolved = match resolve(&ask, search.origins) {
        Ok(resolved) => resolved,
        Err(error) => return Ok(Some(Refused { scope: base.to_owned(), why: error.to_string(), lack: None })),
    };
    let mut found = search.run(std::iter::once((&ask, &resolved)));
    if let Some(failure) = found.failures.pop() {
        return Ok(Some(Refused { scope: base.to_owned(), why: failure.reason.to_string(), lack: None }));
    }
    let all: Vec<Resolved> = std::iter::once(resolved).chain(found.referrers).collect();
    let manifests = parsed(all.iter().flat_map(|r| &r.tree))?;
    let images: Vec<Image> = all.into_iter().map(|r| r.image).collect();
    Ok(judge(policy, &images, &manifests, evidence).into_iter().find_map(|judged| judged.verdict.err()))
}

fn parsed<'m>(manifests: impl Iterator<Item = &'m ManifestData>) -> Result<Manifests, Error> {
    let parse = |m: &ManifestData| match Manifest::parse(&m.bytes(), Some(&m.media_type)) {
        Ok(manifest) => Ok((m.digest, manifest)),
        Err(e) => Err(Error::Plan(format!("manifest {}: {e}", m.digest))),
    };
    manifests.map(parse).collect()
}

/// Payloads of signatures, fetched once each.
struct Payloads<'a> {
    origins: &'a dyn Origins,
    known: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

impl Payloads<'_> {
    fn get(&self, image: &Image, payload: &Descriptor) -> Result<Vec<u8>, String> {
        if let Some(known) = self.known.lock().ok().and_then(|known| known.get(&payload.digest).cloned()) {
            return Ok(known);
        }
        if payload.size > limits::PAYLOAD_BYTES {
            return Err(format!("a payload of {} bytes is none", payload.size));
        }
        let source = Source::parse_recorded(&image.source).map_err(|e| e.to_string())?;
        let origin = self.origins.open(&source).map_err(|e| e.to_string())?;
        let bytes = read(origin.as_ref(), payload).map_err(|why| format!("a payload could not be had: {why}"))?;
        if let Ok(mut known) = self.known.lock() {
            known.insert(payload.digest, bytes.clone());
        }
        Ok(bytes)
    }
}

fn read(origin: &dyn Origin, payload: &Descriptor) -> Result<Vec<u8>, String> {
    let reader = origin.open_at(payload, 0).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    reader.take(payload.size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Root;
    use crate::lookaside::{Scopes, Store};
    use crate::origin::OriginError;
    use crate::progress::Silent;
    use crate::web::{Get, WebError};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Nothing;

    impl Origins for Nothing {
        fn open(&self, _: &Source) -> Result<Arc<dyn Origin>, OriginError> {
            Err(OriginError::NoWorkspace)
        }
    }

    struct Down(AtomicUsize);

    impl Web for Down {
        fn get(&self, _: &Get<'_>) -> Result<Vec<u8>, WebError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(WebError::Unreachable { url: "https://s.test/x".into(), why: "no answer".into() })
        }
    }

    fn image(source: &str) -> Image {
        let root = Root { media_type: "m".into(), digest: Digest::sha256(b"x"), size: 1 };
        Image { source: source.into(), ..Image::plain("team/app", "1", root) }
    }

    /// Each question waits for several tries: a thousand images would wait for hours, one after the other.
    #[test]
    fn a_store_that_failed_is_not_asked_again_and_every_image_learns_why() {
        let policy = Policy::parse(br#"{"default":[{"type":"reject"}]}"#, &|_| Err(String::new())).unwrap();
        let mut scopes = Scopes::default();
        scopes.set(Some("reg.test"), Store::parse("https://s.test"));
        let (lookasides, web) = (Lookasides::new(scopes, Scopes::default()), Down(AtomicUsize::new(0)));
        let progress = Silent::new();
        let court = Court {
            policy: &policy,
            origins: &Nothing,
            lookasides: &lookasides,
            web: &web,
            made: &|_, _| false,
            now: 0,
            parallel: 1,
            progress: &progress,
        };
        let stores = Stores { court: &court, down: RefCell::default() };
        for number in 0..20 {
            let image = image(&format!("reg.test/team/app{number}:1"));
            let lack = stores.not_carried(&image, &image.root.digest).unwrap_err();
            assert!(matches!(&lack, Lack::Other(why) if why.contains("no answer")), "{lack:?}");
        }
        assert_eq!(web.0.load(Ordering::Relaxed), 1);
        assert_eq!(stores.not_carried(&image("other.test/team/app:1"), &Digest::sha256(b"x")), Err(Lack::NoStore));
    }
}
