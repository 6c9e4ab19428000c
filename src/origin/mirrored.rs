//! A repository as `registries.conf` says it is to be had: mirrors in their order, the place itself last.
//!
//! The first place that delivers a manifest serves what the manifest names; whatever it does not have, or stops delivering, comes
//! from the next. Bytes are judged by their digests wherever they come from. Each place is asked with the login of its own host.

use super::{Origin, OriginError};
use crate::digest::Digest;
use crate::image_set::Source;
use crate::oci::referrers::{Referrer, ReferrerFilter};
use crate::oci::{Descriptor, Manifest, Reference};
use crate::registry::mirrors::{Conf, Place};
use crate::registry::{Client, Error, Repository};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// Hears, in a sentence, which place serves a source.
pub type Told = Arc<dyn Fn(&str) + Send + Sync>;

/// One place that was tried in vain.
#[derive(Debug)]
pub struct Tried {
    /// `host/repository` there.
    pub place: String,
    /// Why it was left.
    pub error: OriginError,
}

/// All places that were tried, one after the other; never empty.
#[derive(Debug)]
pub struct AllTried(Vec<Tried>);

impl AllTried {
    /// In the order they were tried.
    pub fn all(&self) -> &[Tried] {
        &self.0
    }

    /// The one that decides what the failure means: that of the last place, which is the source itself unless that is blocked.
    pub fn last(&self) -> Option<&OriginError> {
        self.0.last().map(|tried| &tried.error)
    }
}

impl fmt::Display for AllTried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tried) in self.0.iter().enumerate() {
            write!(f, "{}{}: {}", if i == 0 { "" } else { "; " }, tried.place, tried.error)?;
        }
        Ok(())
    }
}

/// One repository, wherever it is to be had.
pub struct Mirrored {
    client: Client,
    conf: Arc<Conf>,
    host: String,
    name: String,
    told: Told,
    /// By host and repository.
    repositories: Mutex<HashMap<(String, String), Arc<Repository>>>,
    /// Who delivered the manifest that names this content.
    served: Mutex<HashMap<Digest, Arc<Repository>>>,
    /// Places that were told.
    known: Mutex<HashSet<String>>,
}

impl Mirrored {
    /// The repository `host/name`, reached by `client` where `conf` says.
    pub fn new(client: Client, conf: Arc<Conf>, host: &str, name: &str, told: Told) -> Mirrored {
        Mirrored {
            client,
            conf,
            host: host.to_owned(),
            name: name.to_owned(),
            told,
            repositories: Mutex::default(),
            served: Mutex::default(),
            known: Mutex::default(),
        }
    }

    fn repository(&self, host: &str, name: &str) -> Arc<Repository> {
        let mut known = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((host.to_owned(), name.to_owned())).or_insert_with(|| Arc::new(self.client.repository(host, name))).clone()
    }

    fn places(&self, reference: &Reference) -> Result<Vec<(Place, Arc<Repository>)>, OriginError> {
        let with_repository = |place: Place| {
            let repository = self.repository(&place.reference.host, &place.reference.repository);
            (place, repository)
        };
        Ok(self.conf.places(reference)?.into_iter().map(with_repository).collect())
    }

    /// Where content of this digest may be had: first where its manifest came from.
    fn holders(&self, digest: &Digest) -> Result<Vec<Arc<Repository>>, OriginError> {
        let first = self.served.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        let reference =
            Reference { host: self.host.clone(), repository: self.name.clone(), path: self.name.clone(), tag: None, digest: Some(*digest) };
        let others = match (self.places(&reference), &first) {
            (Ok(places), _) => places,
            // A mirror for tags only has served it; by digest nobody may be asked.
            (Err(OriginError::NoPlace(_)), Some(_)) => Vec::new(),
            (Err(error), _) => return Err(error),
        };
        let others = others.into_iter().map(|(_, repository)| repository);
        let mut holders: Vec<Arc<Repository>> = first.into_iter().chain(others).collect();
        let mut seen = HashSet::new();
        holders.retain(|holder| seen.insert(called(holder)));
        Ok(holders)
    }

    /// The first place that has it. A failure of the only place is told as it is.
    fn first<'a, T>(
        &self,
        places: impl IntoIterator<Item = &'a Arc<Repository>>,
        mut ask: impl FnMut(usize, &Arc<Repository>) -> Result<T, OriginError>,
    ) -> Result<T, OriginError> {
        let mut tried = Vec::new();
        for (at, repository) in places.into_iter().enumerate() {
            match ask(at, repository) {
                Ok(answer) => return Ok(answer),
                Err(error @ OriginError::Registry(Error::Cancelled)) => return Err(error),
                Err(error) => tried.push(Tried { place: called(repository), error }),
            }
        }
        match (tried.pop(), tried.is_empty()) {
            (Some(only), true) => Err(only.error),
            (last, _) => {
                tried.extend(last);
                Err(OriginError::Places(Box::new(AllTried(tried))))
            }
        }
    }

    fn serve(&self, digest: Digest, by: &Arc<Repository>) {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, by.clone());
        let name = called(by);
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            (self.told)(&format!("{}/{} comes from {name}", self.host, self.name));
        }
    }

    /// What the manifest names comes from where the manifest came from.
    fn serve_below(&self, manifest: &[u8], kind: Option<&str>, by: &Arc<Repository>) {
        let Ok(manifest) = Manifest::parse(manifest, kind) else { return };
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        for below in manifest.children().iter().chain(manifest.blobs()) {
            served.insert(below.digest, by.clone());
        }
    }
}

fn called(repository: &Repository) -> String {
    format!("{}/{}", repository.host(), repository.name())
}

impl Origin for Mirrored {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let Source::Registry(reference) = source else {
            return Err(OriginError::NoImage { name: format!("{}/{}", self.host, self.name), tag: String::new() });
        };
        if let Some(digest) = reference.digest {
            return Ok((digest, None));
        }
        let places = self.places(reference)?;
        self.first(places.iter().map(|(_, repository)| repository), |at, repository| {
            let asked = places.get(at).map_or(reference, |(place, _)| &place.reference);
            let answer = repository.resolve(&Source::Registry(asked.clone()))?;
            self.serve(answer.0, repository);
            Ok(answer)
        })
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        self.first(&self.holders(digest)?, |_, repository| {
            let (bytes, kind) = Origin::manifest(repository.as_ref(), digest)?;
            self.serve(*digest, repository);
            self.serve_below(&bytes, kind.as_deref(), repository);
            Ok((bytes, kind))
        })
    }

    /// Of whoever delivered the manifest: what is said about it elsewhere may be about something else there.
    fn referrers(&self, subject: &Digest, filter: &ReferrerFilter) -> Result<Vec<Referrer>, OriginError> {
        self.first(&self.holders(subject)?, |_, repository| {
            let referrers = Origin::referrers(repository.as_ref(), subject, filter)?;
            for referrer in &referrers {
                self.serve(referrer.digest, repository);
            }
            Ok(referrers)
        })
    }

    /// A list of tags is asked of whoever may be asked for a tag.
    fn tags(&self) -> Result<Vec<String>, OriginError> {
        let reference = Reference {
            host: self.host.clone(),
            repository: self.name.clone(),
            path: self.name.clone(),
            tag: Some("latest".into()),
            digest: None,
        };
        let places = self.places(&reference)?;
        self.first(places.iter().map(|(_, repository)| repository), |_, repository| Origin::tags(repository.as_ref()))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        let holders = self.holders(&blob.digest)?;
        let mut reader = None;
        let next = self.first(&holders, |at, repository| {
            reader = Some(Origin::open_at(repository.as_ref(), blob, offset)?);
            Ok(at + 1)
        })?;
        let reader = reader.ok_or(OriginError::NoWorkspace)?;
        match holders.get(next..).filter(|others| !others.is_empty()) {
            None => Ok(reader),
            Some(others) => {
                Ok(Box::new(Falling { reader, blob: blob.clone(), at: offset, others: others.iter().rev().cloned().collect() }))
            }
        }
    }
}

/// A blob that goes on at the next place where one stops delivering.
struct Falling {
    reader: Box<dyn Read + Send>,
    blob: Descriptor,
    /// Bytes read, offset included.
    at: u64,
    /// The next one last.
    others: Vec<Arc<Repository>>,
}

impl Read for Falling {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let failure = match self.reader.read(buf) {
                Ok(n) => {
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(error) => error,
            };
            if matches!(Error::of(&failure), Some(Error::Cancelled)) {
                return Err(failure);
            }
            let next = std::iter::from_fn(|| self.others.pop()).find_map(|other| Origin::open_at(other.as_ref(), &self.blob, self.at).ok());
            // Where nobody goes on, the first failure says more.
            self.reader = next.ok_or(failure)?;
        }
    }
}
