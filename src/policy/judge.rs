//! The judgement: each image against the requirements of its scope.
//!
//! An image is accepted by what holds for its root manifest, which covers everything below by digest. An index whose root has no
//! signature that holds is accepted when each of its members in the set is: clusters judge the member they run.

use super::document::{Policy, Requirement};
use super::identity::Identity;
use super::key::{Key, KeyError};
use super::payload;
use crate::digest::Digest;
use crate::format::{Image, Manifests, Role};
use crate::image_set::Source;
use crate::limits;
use crate::oci::referrers::{COSIGN_SIGNATURE, SIMPLE_SIGNING, cosign_suffix};
use crate::oci::{Descriptor, Reference, keep_tag};
use crate::openpgp::{self, Keyring};
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::{BTreeMap, BTreeSet};

/// Gives the bytes of a signature's payload: of which image of a set, and how its manifest describes it; why not, for people.
pub type FetchPayload<'a> = dyn Fn(&Image, &Descriptor) -> Result<Vec<u8>, String> + 'a;

/// Gives the OpenPGP signatures (containers-signature(5)) that are known of a manifest of an image; why there can be none.
pub type FetchSignatures<'a> = dyn Fn(&Image, &Digest) -> Result<Vec<Vec<u8>>, Lack> + 'a;

/// Says where the layout of a source really lies, and what the image is called in it. Several where the source can mean several, of
/// which only one is there; none where nobody knows.
pub type FindFolder<'a> = dyn Fn(&Source) -> Vec<Lying> + 'a;

/// Where an image of a layout lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lying {
    /// The absolute path of the folder, without links, `.` and `..`.
    pub folder: String,
    /// The image's name in the layout, where the source says one.
    pub name: Option<String>,
}

/// What images are judged by.
pub struct Evidence<'a> {
    /// What signatures of cosign sign.
    pub payload: &'a FetchPayload<'a>,
    /// OpenPGP signatures.
    pub signatures: &'a FetchSignatures<'a>,
    /// Folders of layouts, by which their scopes go.
    pub folder: &'a FindFolder<'a>,
    /// The time keys and signatures must be valid at, in seconds since 1970.
    pub now: u64,
}

/// Why signatures of an image cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nobody has said where they lie.
    NoStore,
    /// None came along; for people, why.
    NotCarried(&'static str),
    /// A plan says that this program made the image, and it did not, or not here.
    MadeElsewhere,
    /// For people.
    Other(String),
}

/// An image the policy does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature policy ({scope}) does not accept it: {why}")]
pub struct Refused {
    /// The scope of the policy that applies.
    pub scope: String,
    /// What is lacking.
    pub why: String,
    /// Where OpenPGP signatures are wanted, what keeps them away.
    pub lack: Option<Lack>,
}

/// Why one requirement is not met.
struct Unmet {
    why: String,
    lack: Option<Lack>,
}

impl From<String> for Unmet {
    fn from(why: String) -> Unmet {
        Unmet { why, lack: None }
    }
}

/// One image, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Position among the images.
    pub image: usize,
    /// Refused, and why; or accepted, and by which scope.
    pub verdict: Result<String, Refused>,
}

/// Judges every image but the referrers, which are judged by what they are about, and what this program made itself, whose parts
/// nobody else can have signed. What [`Evidence::payload`] gives is compared with its descriptor here.
pub fn judge(policy: &Policy, images: &[Image], manifests: &Manifests, evidence: &Evidence<'_>) -> Vec<Judged> {
    let mut about: BTreeMap<(String, Digest), Vec<&Image>> = BTreeMap::new();
    for image in images {
        if let Some(subject) = image.subject {
            about.entry((image.repository.clone(), subject)).or_default().push(image);
        }
    }
    let bench = Bench { policy, manifests, about, evidence };
    let judged = images.iter().enumerate().filter(|(_, image)| !is_attached(image) && image.made.is_none());
    judged.map(|(at, image)| Judged { image: at, verdict: bench.image(image) }).collect()
}

/// A referrer under a name that nobody asks for. Under any other it is an image like the others, whatever else it refers to.
fn is_attached(image: &Image) -> bool {
    let named = |subject: Digest| cosign_suffix(&image.tag, &subject).is_some() || image.tag == keep_tag(&image.root.digest);
    image.role == Role::Referrer && image.subject.is_some_and(named)
}

struct Bench<'a> {
    policy: &'a Policy,
    manifests: &'a Manifests,
    /// What is about each manifest, by repository: whoever pulls an image inside finds what lies beside it.
    about: BTreeMap<(String, Digest), Vec<&'a Image>>,
    evidence: &'a Evidence<'a>,
}

impl Bench<'_> {
    fn image(&self, image: &Image) -> Result<String, Refused> {
        let refused = |scope: &str, Unmet { why, lack }: Unmet| Refused { scope: scope.to_owned(), why, lack };
        let source = Source::parse_recorded(&image.source).map_err(|e| refused("default", e.to_string().into()))?;
        let (scope, requirements) = self.policy.of(&source, self.evidence.folder).map_err(|why| refused("transports oci", why.into()))?;
        let reference = match &source {
            Source::Registry(reference) => Some(reference),
            Source::Layout { .. } | Source::Made(_) => None,
        };
        // All requirements have to be met, each by a signature of its own if need be.
        for requirement in requirements {
            let mut met = BTreeSet::new();
            self.tree((requirement, &mut met), image, reference, &image.root.digest, 0).map_err(|unmet| refused(&scope, unmet))?;
        }
        Ok(scope)
    }

    /// The manifest itself, else all its members that are in the set; each is looked at once, however often indexes name it.
    fn tree(
        &self,
        (requirement, met): (&Requirement, &mut BTreeSet<Digest>),
        image: &Image,
        reference: Option<&Reference>,
        digest: &Digest,
        depth: usize,
    ) -> Result<(), Unmet> {
        if met.contains(digest) {
            return Ok(());
        }
        let itself = match requirement {
            Requirement::Accept => return Ok(()),
            Requirement::Reject => return Err("it rejects everything here".to_owned().into()),
            Requirement::Unsupported(why) => return Err(why.clone().into()),
            Requirement::Sigstore { keys, identity } => self.sigstore(keys, identity, (image, reference), digest).map_err(Unmet::from),
            Requirement::SignedBy { keyring: Err(why), .. } => return Err(why.clone().into()),
            Requirement::SignedBy { keyring: Ok(keyring), identity } => self.signed_by(keyring, identity, (image, reference), digest),
        };
        let Err(unmet) = itself else {
            met.insert(*digest);
            return Ok(());
        };
        let children = self.manifests.get(digest).map(|m| m.children()).unwrap_or_default();
        let members: Vec<&Descriptor> = children.iter().filter(|c| self.manifests.contains_key(&c.digest)).collect();
        if members.is_empty() || depth >= limits::INDEX_DEPTH {
            return Err(unmet);
        }
        let members_too = |member: Unmet| Unmet { why: format!("{}; nor for its member {}", unmet.why, member.why), lack: member.lack };
        for member in members {
            self.tree((requirement, &mut *met), image, reference, &member.digest, depth + 1).map_err(members_too)?;
        }
        met.insert(*digest);
        Ok(())
    }

    fn sigstore(
        &self,
        keys: &[Result<Key, KeyError>],
        identity: &Identity,
        (of, reference): (&Image, Option<&Reference>),
        digest: &Digest,
    ) -> Result<(), String> {
        let usable: Vec<_> = keys.iter().filter_map(|key| key.as_ref().ok()).collect();
        if let (true, Some(Err(why))) = (usable.is_empty(), keys.first()) {
            return Err(why.to_string());
        }
        let mut why = Vec::new();
        for (image, layer) in self.signatures(of, digest).take(limits::IMAGE_SIGNATURES) {
            let one = || -> Result<(), String> {
                let signature = layer.annotations.get(COSIGN_SIGNATURE).and_then(|text| BASE64.decode(text.trim()).ok());
                let signature = signature.ok_or("a signature without its annotation")?;
                let bytes = (self.evidence.payload)(image, layer)?;
                if bytes.len() as u64 != layer.size || Digest::sha256(&bytes) != layer.digest {
                    return Err("a payload has other bytes than its manifest says".into());
                }
                if !usable.iter().any(|key| key.verifies(&bytes, &signature)) {
                    return Err("a signature is by none of the keys, or its payload was changed".into());
                }
                let name = payload::read(&bytes, digest)?;
                named(identity, reference, &name)
            };
            match one() {
                Ok(()) => return Ok(()),
                Err(reason) => why.push(reason),
            }
        }
        Err(none_holds(digest, why))
    }

    fn signed_by(
        &self,
        keyring: &Keyring,
        identity: &Identity,
        (image, reference): (&Image, Option<&Reference>),
        digest: &Digest,
    ) -> Result<(), Unmet> {
        let signatures = match (self.evidence.signatures)(image, digest) {
            Ok(signatures) => signatures,
            Err(lack) => {
                let why = match &lack {
                    Lack::NoStore => "no lookaside is known that OpenPGP signatures of it could lie in".to_owned(),
                    Lack::NotCarried(why) => (*why).to_owned(),
                    Lack::MadeElsewhere => "it was not made here".to_owned(),
                    Lack::Other(why) => why.clone(),
                };
                return Err(Unmet { why: none_holds(digest, vec![why]), lack: Some(lack) });
            }
        };
        let mut why = Vec::new();
        for message in signatures.iter().take(limits::LOOKASIDE_SIGNATURES as usize) {
            let good = openpgp::verify(message, digest, keyring, self.evidence.now).map_err(|e| format!("an OpenPGP signature: {e}"));
            match good.and_then(|good| named(identity, reference, good.docker_reference())) {
                Ok(()) => return Ok(()),
                Err(reason) => why.push(reason),
            }
        }
        Err(none_holds(digest, why).into())
    }

    /// The signed layers of everything that is about a manifest of an image.
    fn signatures<'s>(&'s self, image: &Image, digest: &Digest) -> impl Iterator<Item = (&'s Image, &'s Descriptor)> {
        let about = self.about.get(&(image.repository.clone(), *digest)).into_iter().flatten();
        let layers = |image: &&'s Image| {
            let image: &'s Image = image;
            let manifest = self.manifests.get(&image.root.digest);
            manifest.into_iter().flat_map(|m| m.blobs()).filter(|blob| blob.media_type == SIMPLE_SIGNING).map(move |layer| (image, layer))
        };
        about.flat_map(layers)
    }
}

/// Whether a signature for the name `signed` counts.
fn named(identity: &Identity, reference: Option<&Reference>, signed: &str) -> Result<(), String> {
    match identity.matches(reference, signed) {
        true => Ok(()),
        false => Err(format!("a signature is for the name {:?}, which its signedIdentity does not accept here", shown(signed).to_string())),
    }
}

fn none_holds(digest: &Digest, mut why: Vec<String>) -> String {
    why.dedup();
    let told = if why.is_empty() { "there is none".to_owned() } else { why.into_iter().take(5).collect::<Vec<_>>().join(", ") };
    format!("no signature holds for {}: {told}", digest.short())
}
