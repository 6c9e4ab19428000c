//! Tags of a repository.

use super::answer::Asked;
use super::client::Repository;
use super::error::Error;
use super::headers;
use super::location;
use super::request::Call;
use crate::limits;
use crate::oci;
use reqwest::header::LINK;
use reqwest::{Method, Url};
use serde::Deserialize;
use std::collections::HashSet;

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<Option<String>>>,
}

impl Repository {
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
                let call = Call::new(Method::GET, url.clone(), target.clone(), Asked::Tags, core).scopes(self.pull());
                let reply = core.request(&self.host, call, &[200]).await?;
                next = reply.header(LINK).and_then(headers::next_link).and_then(|link| page(&url, &link));
                let body = reply.body(core, &target, limits::LIST_BYTES).await?;
                let list: TagList = serde_json::from_slice(&body)
                    .map_err(|e| Error::Protocol { target: target.clone(), what: format!("the tag list is not JSON: {e}") })?;
                let fresh = list.tags.unwrap_or_default().into_iter().flatten().filter(|t| oci::is_tag(t));
                tags.extend(fresh.filter(|tag| seen.insert(tag.clone())));
            }
            Ok(tags)
        })
    }
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
