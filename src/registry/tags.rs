//! Tags of a repository.

use super::answer::Asked;
use super::client::Repository;
use super::error::{Error, Target};
use super::headers;
use super::location;
use super::manifests::ManifestRef;
use super::reply::Reply;
use super::request::Call;
use crate::limits;
use crate::oci;
use reqwest::{Method, Url};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<Option<String>>>,
}

/// Most pages read to know the tags of a repository: beyond, asking for single tags is cheaper.
const PAGES: usize = 30;
/// Lists end at round numbers where a server cuts them without saying so.
const ROUND: usize = 100;

/// The tags of a repository as far as they were read, a few pages at a time.
pub(super) type Listing = Mutex<Reading>;

/// How far a list was read.
#[derive(Default)]
pub(super) enum Reading {
    /// Not at all.
    #[default]
    Unread,
    /// Up to a page.
    Begun { tags: HashSet<String>, next: Url, pages: usize },
    /// To its end.
    Whole(Arc<HashSet<String>>),
    /// It cannot be had, is too long, or cannot be believed to be whole.
    GivenUp,
}

/// One page.
struct Page {
    tags: Vec<String>,
    next: Option<Url>,
    /// Entries of it, what is no tag among them.
    entries: usize,
}

impl Repository {
    /// The tags, where the registry lists all of them; read once, and remembered. A call reads at most `worth` pages, the number of
    /// single questions the list would save; the next call goes on from there. `None` where there is no whole list (yet), or one
    /// that must not be believed: what it does not name would be lost without a word.
    ///
    /// # Errors
    /// Only an interruption: what else goes wrong with a list, single questions tell better.
    pub fn all_tags(&self, worth: usize) -> Result<Option<Arc<HashSet<String>>>, Error> {
        if self.host.caches_lists() {
            return Ok(None);
        }
        let mut reading = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..worth {
            let (mut tags, url, pages) = match std::mem::replace(&mut *reading, Reading::GivenUp) {
                Reading::GivenUp => return Ok(None),
                Reading::Whole(tags) => {
                    *reading = Reading::Whole(tags.clone());
                    return Ok(Some(tags));
                }
                Reading::Unread => (HashSet::new(), None, 0),
                Reading::Begun { tags, next, pages } => (tags, Some(next), pages),
            };
            let page = match self.wait(self.one_page(url)) {
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(_) => return Ok(None),
                Ok(page) => page,
            };
            let nothing_new = page.tags.iter().all(|tag| tags.contains(tag));
            tags.extend(page.tags);
            *reading = match page.next {
                // In a circle, or without end.
                Some(_) if nothing_new || pages + 1 >= PAGES => Reading::GivenUp,
                Some(next) => Reading::Begun { tags, next, pages: pages + 1 },
                None if tags.len() % ROUND == 0 || page.entries % ROUND == 0 => Reading::GivenUp,
                None if self.host.caches_lists() || !self.lists_what_is_there(&tags) => Reading::GivenUp,
                None => Reading::Whole(Arc::new(tags)),
            };
        }
        Ok(match &*reading {
            Reading::Whole(tags) => Some(tags.clone()),
            _ => None,
        })
    }

    /// A list without a tag that has just been pulled by is older than the tag, or not of all.
    fn lists_what_is_there(&self, tags: &HashSet<String>) -> bool {
        self.tags_there.lock().unwrap_or_else(PoisonError::into_inner).is_subset(tags)
    }

    /// Remembers that there is something under this tag.
    pub(super) fn found_under(&self, reference: &ManifestRef) {
        if let ManifestRef::Tag(tag) = reference {
            self.tags_there.lock().unwrap_or_else(PoisonError::into_inner).insert(tag.clone());
        }
    }

    async fn one_page(&self, url: Option<Url>) -> Result<Page, Error> {
        let core = &self.shared.core;
        let target = self.target("");
        let url = match url {
            Some(url) => url,
            None => self.host.enter(core).await?.url(&target, &self.path("tags/list"))?,
        };
        let mut attempt = 0;
        let (next, body) = loop {
            let call = Call::new(Method::GET, url.clone(), target.clone(), Asked::Tags, core).scopes(self.pull());
            let reply = core.request(&self.host, call, &[200]).await?;
            let next = following(&reply, &url, &target)?;
            let body = core.body_of(&self.host, reply, &target, limits::LIST_BYTES, &mut attempt).await?;
            if let Some(body) = body {
                break (next, body);
            }
        };
        let list: TagList = serde_json::from_slice(&body)
            .map_err(|e| Error::Protocol { target: target.clone(), what: format!("the tag list is not JSON: {e}") })?;
        let listed = list.tags.unwrap_or_default();
        let entries = listed.len();
        let tags = listed.into_iter().flatten().filter(|t| oci::is_tag(t)).collect();
        Ok(Page { tags, next, entries })
    }

    /// All tags, in the registry's order, each once. What is no tag (null, a digest) is left out.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown repository; [`Error::Protocol`] for a list without end.
    pub fn tags(&self) -> Result<Vec<String>, Error> {
        self.wait(async {
            let core = &self.shared.core;
            let target = self.target("");
            let mut next = Some(self.host.enter(core).await?.url(&target, &self.path("tags/list"))?);
            let mut tags = Vec::new();
            let (mut seen, mut pages) = (HashSet::new(), HashSet::new());
            while let Some(url) = next.take() {
                if pages.len() >= limits::LIST_PAGES || tags.len() >= limits::TAGS_PER_REPOSITORY || !pages.insert(url.to_string()) {
                    return Err(Error::Protocol { target, what: "a tag list without end".to_owned() });
                }
                let page = self.one_page(Some(url)).await?;
                next = page.next;
                tags.extend(page.tags.into_iter().filter(|tag| seen.insert(tag.clone())));
            }
            Ok(tags)
        })
    }
}

/// The next page, where an answer names one.
pub(super) fn following(reply: &Reply, url: &Url, target: &Arc<Target>) -> Result<Option<Url>, Error> {
    let Some(link) = headers::next_page(reply.response.headers()) else { return Ok(None) };
    let next = page(url, &link)
        .ok_or_else(|| Error::Protocol { target: target.clone(), what: "a list whose next page has no address".to_owned() });
    next.map(Some)
}

/// The next page: path and query of the link, scheme and host of the registry.
pub(super) fn page(url: &Url, link: &str) -> Option<Url> {
    let mut next = url.join(link).ok()?;
    if !location::same_origin(url, &next) {
        let query = next.query().map(str::to_owned);
        let path = next.path().to_owned();
        next = url.clone();
        next.set_path(&path);
        next.set_query(query.as_deref());
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_with_the_registry() {
        let url = Url::parse("https://r.test:5000/v2/a/tags/list").unwrap();
        assert_eq!(page(&url, "/v2/a/tags/list?last=x").unwrap().as_str(), "https://r.test:5000/v2/a/tags/list?last=x");
        assert_eq!(page(&url, "http://inner/v2/a/tags/list?last=x").unwrap().as_str(), "https://r.test:5000/v2/a/tags/list?last=x");
    }
}
