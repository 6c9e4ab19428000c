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
/// [`Error::Plan`] when the signatures are more than a set may have; [`Error::Interrupted`].
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
    for (question, answer) in questions.iter().zip(ask_all(&questions, lookasides, web, parallel, progress)?) {
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

/// Each manifest of each image once for each name it has outside.
fn questions<'p>(plan: &'p PackPlan, lookasides: &Lookasides) -> Vec<Question<'p>> {
    let manifests: BTreeSet<Digest> = plan.manifests.iter().map(|m| m.digest).collect();
    let (mut questions, mut seen) = (Vec::new(), BTreeSet::new());
    for image in plan.images.iter().filter(|image| image.role != Role::Referrer && image.made.is_none()) {
        let Ok(Source::Registry(reference)) = Source::parse_recorded(&image.source) else { continue };
        if lookasides.store(&reference).is_none() {
            continue;
        }
        for digest in plan.blobs_of(image).filter(|digest| manifests.contains(digest)) {
            if seen.insert((image.repository.as_str(), reference.name(), digest)) {
                questions.push(Question { image, reference: reference.clone(), digest });
            }
        }
    }
    questions
}

/// Asks on a few threads; answers in order.
fn ask_all(
    questions: &[Question<'_>],
    lookasides: &Lookasides,
    web: &dyn Web,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Vec<Answer>, Error> {
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let too_much = || bytes.load(Ordering::Relaxed) > DOCUMENTS_BYTES;
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
        return Err(Error::Plan(format!("the lookasides have more than {DOCUMENTS_BYTES} bytes of signatures for its images")));
    }
    Ok(answers.into_inner().unwrap_or_default().into_values().collect())
}
