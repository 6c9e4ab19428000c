//! OpenPGP signatures of the images of a plan, from their lookasides: they travel as documents.

use super::{Error, PackPlan};
use crate::digest::Digest;
use crate::format::{Document, DocumentKind, Image, Role, SignatureName};
use crate::image_set::Source;
use crate::limits::{DOCUMENTS_BYTES, LOOKASIDE_SIGNATURES};
use crate::lookaside::{LookasideError, Lookasides, Store};
use crate::oci::Reference;
use crate::progress::Progress;
use crate::web::Web;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One question: the signatures of a manifest at the lookaside of an image.
struct Question<'p> {
    image: &'p Image,
    reference: Reference,
    digest: Digest,
}

type Answer = Result<Vec<Vec<u8>>, LookasideError>;

/// The plan with the signatures that lie beside the registries of its images: of every manifest, since clusters judge the member of
/// an index that they run. Images whose lookaside nobody has named are not asked about. What could not be had comes beside the
/// plan, by the name of the image.
///
/// # Errors
/// [`Error::TooManySignatures`] when they and the other documents of the plan are more than a set may have; [`Error::Interrupted`].
pub fn carry_signatures(
    plan: PackPlan,
    lookasides: &Lookasides,
    web: &dyn Web,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<(PackPlan, Vec<(String, LookasideError)>), Error> {
    let questions = questions(&plan, lookasides);
    if questions.is_empty() {
        return Ok((plan, Vec::new()));
    }
    let (mut found, mut failures) = (BTreeMap::<(&str, Digest), Vec<Vec<u8>>>::new(), Vec::new());
    for (question, answer) in questions.iter().zip(ask_all(&questions, lookasides, web, (parallel, room(&plan.documents)), progress)?) {
        match answer {
            Ok(signatures) => {
                let known = found.entry((&question.image.repository, question.digest)).or_default();
                signatures.into_iter().for_each(|signature| {
                    if !known.contains(&signature) && known.len() < LOOKASIDE_SIGNATURES as usize {
                        known.push(signature);
                    }
                });
            }
            Err(error) => failures.push((question.image.source.clone(), error)),
        }
    }
    let mut documents: Vec<Document> = Vec::new();
    for ((repository, digest), signatures) in found {
        for (number, signature) in (1..).zip(signatures) {
            let name = SignatureName { repository: repository.to_owned(), digest, number };
            documents.push(Document::new(DocumentKind::ImageSignature, name.to_string(), &signature));
        }
    }
    if documents.is_empty() {
        return Ok((plan, failures));
    }
    let mut carrying = plan.clone();
    carrying.documents.extend(documents);
    carrying.documents.sort();
    Ok((carrying.derived()?, failures))
}

impl Question<'_> {
    /// A store that has failed is not asked again: a thousand images would wait for it a thousand times.
    fn ask(&self, lookasides: &Lookasides, web: &dyn Web, down: &Mutex<BTreeSet<String>>) -> Answer {
        let store = lookasides.store(&self.reference).map(Store::name).unwrap_or_default();
        if down.lock().is_ok_and(|down| down.contains(&store)) {
            return Err(LookasideError::GaveUp { store });
        }
        let answer = lookasides.signatures(&self.reference, &self.digest, web).map(Option::unwrap_or_default);
        if let (Err(LookasideError::Store { .. }), Ok(mut down)) = (&answer, down.lock()) {
            down.insert(store);
        }
        answer
    }
}

/// Bytes a set has left beside these documents.
fn room(documents: &[Document]) -> u64 {
    let taken: u64 = documents.iter().map(|document| document.bytes().len() as u64).sum();
    DOCUMENTS_BYTES.saturating_sub(taken)
}

/// Each manifest of each image once for each name it has outside, and each store: a scope may be a tag.
fn questions<'p>(plan: &'p PackPlan, lookasides: &Lookasides) -> Vec<Question<'p>> {
    let manifests: BTreeSet<Digest> = plan.manifests.iter().map(|m| m.digest).collect();
    let (mut questions, mut seen) = (Vec::new(), BTreeSet::new());
    for image in plan.images.iter().filter(|image| image.role != Role::Referrer && image.made.is_none()) {
        let Ok(Source::Registry(reference)) = Source::parse_recorded(&image.source) else { continue };
        let Some(store) = lookasides.store(&reference) else { continue };
        for digest in plan.blobs_of(image).filter(|digest| manifests.contains(digest)) {
            if seen.insert((image.repository.as_str(), reference.name(), store, digest)) {
                questions.push(Question { image, reference: reference.clone(), digest });
            }
        }
    }
    questions
}

/// Asks on a few threads; answers in order, all together of at most `room` bytes.
fn ask_all(
    questions: &[Question<'_>],
    lookasides: &Lookasides,
    web: &dyn Web,
    (parallel, room): (usize, u64),
    progress: &dyn Progress,
) -> Result<Vec<Answer>, Error> {
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let too_much = || bytes.load(Ordering::Relaxed) > room;
    let answers: Mutex<BTreeMap<usize, Answer>> = Mutex::default();
    let down: Mutex<BTreeSet<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, questions.len().max(1)) {
            scope.spawn(|| {
                while let Some((i, question)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, questions.get(i)?))) {
                    if progress.cancelled() || too_much() {
                        return;
                    }
                    let answer = question.ask(lookasides, web, &down);
                    let size = answer.iter().flatten().map(|signature| signature.len() as u64).sum();
                    bytes.fetch_add(size, Ordering::Relaxed);
                    if let Ok(mut answers) = answers.lock() {
                        answers.insert(i, answer);
                    }
                }
            });
        }
    });
    if progress.cancelled() {
        return Err(Error::Interrupted);
    }
    if too_much() {
        return Err(Error::TooManySignatures { limit: DOCUMENTS_BYTES });
    }
    Ok(answers.into_inner().unwrap_or_default().into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookaside::Scopes;
    use crate::progress::Silent;
    use crate::web::{Get, WebError};

    /// Answers every question alike, and counts.
    #[derive(Default)]
    struct Same {
        asked: AtomicUsize,
        bytes: Vec<u8>,
    }

    impl Web for Same {
        fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match request.url.ends_with("/signature-1") {
                _ if self.bytes.is_empty() => Err(WebError::Unreachable { url: "x".into(), why: "no".into() }),
                true => Ok(self.bytes.clone()),
                false => Err(WebError::NotFound("x".into())),
            }
        }
    }

    fn image(source: &str) -> Image {
        let root = crate::format::Root { media_type: "m".into(), digest: Digest::sha256(b"x"), size: 1 };
        Image { source: source.into(), ..Image::plain("team/app", "1", root) }
    }

    fn ask(images: &[Image], web: &Same, room: u64) -> Result<Vec<Answer>, Error> {
        let mut named = Scopes::default();
        named.set(None, Store::parse("https://s.test"));
        let question = |image| Question { image, reference: Reference::parse(&image.source).unwrap(), digest: image.root.digest };
        let questions: Vec<Question<'_>> = images.iter().map(question).collect();
        ask_all(&questions, &Lookasides::new(named, Scopes::default()), web, (2, room), &Silent::new())
    }

    /// A set that is more than its reader takes would be noticed when everything was fetched.
    #[test]
    fn signatures_share_the_room_for_documents_with_the_others() {
        let note = Document::new(DocumentKind::Note, "n", &[7; 1000]);
        assert_eq!((room(&[]), room(&[note])), (DOCUMENTS_BYTES, DOCUMENTS_BYTES - 1000));
        let images: Vec<Image> = (0..9).map(|n| image(&format!("reg.test/team/app{n}:1"))).collect();
        let web = Same { bytes: vec![0x90; 100], ..Same::default() };
        assert_eq!(ask(&images, &web, 900).unwrap().len(), 9);
        assert!(matches!(ask(&images, &web, 899), Err(Error::TooManySignatures { .. })));
    }

    #[test]
    fn a_store_that_failed_is_not_asked_for_each_image() {
        let images: Vec<Image> = (0..100).map(|n| image(&format!("reg.test/team/app{n}:1"))).collect();
        let web = Same::default();
        let answers = ask(&images, &web, DOCUMENTS_BYTES).unwrap();
        assert!(answers.len() == 100 && answers.iter().all(Result::is_err));
        // As many as ask at a time may not have heard of it.
        assert!((1..=2).contains(&web.asked.load(Ordering::Relaxed)));
    }
}
