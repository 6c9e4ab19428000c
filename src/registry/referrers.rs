//! What refers to a manifest: the referrers API and the fallback tag (distribution specification, "Listing Referrers").
//!
//! Servers without the API answer almost anything: 404 of their own or of their manifests, a web page, a way to another host, the
//! image itself under the fallback tag. Only a 200 of the registry itself with an index counts as the API.

use super::answer::{self, Asked};
use super::client::Repository;
use super::error::Error;
use super::manifests::ManifestRef;
use super::reply::Reply;
use super::request::Call;
use super::tags;
use crate::digest::Digest;
use crate::limits;
use crate::oci::referrers::{fallback_tag, read_list};
use crate::oci::{Descriptor, media};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// Answers that say there is no such API here, in one way or another.
const NO_API: &[u16] = &[200, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 410, 501];

/// What distribution's own server puts into every answer, that of a path it does not know included.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Whether a repository has the API; found out by the first question.
pub(super) type Known = Mutex<Option<bool>>;

impl Repository {
    /// What the referrers API lists for `subject`; `None` where there is no such API. The first question to a repository decides, and
    /// others wait for it; after a no the API is not asked again, and of a server that does not know the path in no repository. A
    /// proxy may say so while its configuration changes: it is asked twice, and a server that has once shown a list has the API.
    /// Entries are not to be believed before they were fetched.
    ///
    /// # Errors
    /// As every request, as far as it says nothing about the API: unreachable, out of order; [`Error::Protocol`] for a list without end.
    pub fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        if self.host.lacks_referrers() {
            return Ok(None);
        }
        let known = *self.referrers_api.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(false) => Ok(None),
            Some(true) => self.wait(self.ask_referrers(subject)),
            None => {
                let mut known = self.referrers_api.lock().unwrap_or_else(PoisonError::into_inner);
                if *known == Some(false) || self.host.lacks_referrers() {
                    return Ok(None);
                }
                let answer = self.first_answer(subject)?;
                *known = Some(answer.is_some());
                Ok(answer)
            }
        }
    }

    /// The answer to a repository's first question. As long as nothing is known of the host, only one is asked at a time.
    fn first_answer(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let mut asked = self.host.referrers_asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !*asked {
            let answer = self.wait(self.ask_referrers(subject))?;
            *asked = true;
            return Ok(answer);
        }
        drop(asked);
        match self.host.lacks_referrers() {
            true => Ok(None),
            false => self.wait(self.ask_referrers(subject)),
        }
    }

    /// What the index under the fallback tag lists for `subject`; `None` where there is none, or the tag holds something else (GitLab
    /// gives the image itself).
    ///
    /// # Errors
    /// As [`Repository::manifest`].
    pub fn fallback_referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        match self.manifest(&ManifestRef::Tag(fallback_tag(subject))) {
            Ok(found) if found.digest == *subject => Ok(None),
            Ok(found) => Ok(read_list(&found.bytes).ok()),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn ask_referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let core = &self.shared.core;
        let target = self.target(subject);
        let mut next = Some(self.host.enter(core).await?.url(&target, &self.path(&format!("referrers/{subject}")))?);
        let mut found = Vec::new();
        let mut pages = HashSet::new();
        let mut sure = false;
        let mut attempt = 0;
        while let Some(url) = next.take() {
            if pages.len() >= limits::LIST_PAGES || found.len() > limits::REFERRERS || !pages.insert(url.to_string()) {
                return Err(Error::Protocol { target, what: "a list of referrers without end".to_owned() });
            }
            let mut call = Call::new(Method::GET, url.clone(), target.clone(), Asked::Tags, core).scopes(self.pull());
            call.stays = true;
            let reply = core.request(&self.host, call.header(ACCEPT, media::OCI_INDEX), NO_API).await?;
            let torn = || Error::Protocol { target: target.clone(), what: "a list of referrers whose next page is none".to_owned() };
            if !is_list(&reply) {
                if pages.len() > 1 {
                    return Err(torn());
                }
                let itself = reply.response.headers().contains_key(API_VERSION);
                if !self.knows_no_such_path(reply).await {
                    return Ok(None);
                }
                if !itself && !std::mem::replace(&mut sure, true) {
                    core.sleep(core.options.timing.retry_base).await?;
                    pages.clear();
                    next = Some(url);
                    continue;
                }
                self.host.no_referrers.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            next = tags::following(&reply, &url, &target)?;
            let Some(body) = core.body_of(&self.host, reply, &target, limits::LIST_BYTES, &mut attempt).await? else {
                pages.remove(url.as_str());
                next = Some(url);
                continue;
            };
            attempt = 0;
            match read_list(&body) {
                Ok(list) => found.extend(list),
                Err(_) if pages.len() > 1 => return Err(torn()),
                Err(_) => return Ok(None),
            }
            self.host.has_referrers.store(true, Ordering::Relaxed);
        }
        Ok(Some(found))
    }

    /// Whether an answer that is no list says that the server knows no such path: an error of its web server. An error in the words
    /// of a registry is about the repository, and of others nothing is known.
    async fn knows_no_such_path(&self, reply: Reply) -> bool {
        let (status, own, headers) = (reply.response.status().as_u16(), reply.from.is_none(), reply.response.headers().clone());
        let body = reply.error_body(&self.shared.core).await;
        own && matches!(status, 404 | 405 | 410 | 501) && answer::read(status, &headers, &body, None).code.is_none()
    }
}

fn is_list(reply: &Reply) -> bool {
    let kind = reply.header(CONTENT_TYPE).map(|t| t.split(';').next().unwrap_or(t).trim().to_ascii_lowercase());
    reply.response.status() == 200 && reply.from.is_none() && kind.as_deref() == Some(media::OCI_INDEX)
}
