//! Tags, referrers, repositories (distribution specification, "Content Discovery").

use super::answer::{Refusal, json_text, set, typed};
use super::body::Answered;
use super::handle::{Asked, State, ask};
use super::store::Page;
use crate::digest::Digest;
use crate::oci::media;
use hyper::header::{HeaderName, LINK};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Page {
    fn of(asked: &Asked) -> Result<Page, Refusal> {
        let wrong = |_| Refusal::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is not a number");
        let most = asked.query("n").map(|n| n.parse()).transpose().map_err(wrong)?;
        Ok(Page { after: asked.query("last").filter(|last| !last.is_empty()), most })
    }

    /// The names of this page, and whether others follow.
    fn cut(&self, names: Vec<String>) -> (Vec<String>, bool) {
        let mut names: Vec<String> = names.into_iter().filter(|name| self.after.as_ref().is_none_or(|after| name > after)).collect();
        let most = self.most.unwrap_or(usize::MAX);
        let more = names.len() > most;
        names.truncate(most);
        (names, more && most > 0)
    }

    /// `Link` to the next page (RFC 8288).
    fn next(&self, path: &str, names: &[String], more: bool) -> Option<String> {
        let (last, most) = (names.last()?, self.most?);
        more.then(|| format!("<{path}?n={most}&last={last}>; rel=\"next\""))
    }
}

pub(super) async fn tags(state: &Arc<State>, repository: &str, asked: &Asked) -> Result<Response<Answered>, Refusal> {
    let page = Page::of(asked)?;
    let name = repository.to_owned();
    let (tags, more) = page.cut(ask(state, move |store| store.tags(&name)).await?);
    let mut response = json_text(StatusCode::OK, json!({"name": repository, "tags": tags}).to_string());
    if let Some(link) = page.next(&format!("/v2/{repository}/tags/list"), &tags, more) {
        set(&mut response, LINK, &link);
    }
    Ok(response)
}

pub(super) async fn catalog(state: &Arc<State>, asked: &Asked) -> Result<Response<Answered>, Refusal> {
    let page = Page::of(asked)?;
    let (repositories, more) = page.cut(ask(state, |store| store.repositories()).await?);
    let mut response = json_text(StatusCode::OK, json!({"repositories": repositories}).to_string());
    if let Some(link) = page.next("/v2/_catalog", &repositories, more) {
        set(&mut response, LINK, &link);
    }
    Ok(response)
}

pub(super) async fn referrers(state: &Arc<State>, repository: &str, subject: Digest, asked: &Asked) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    let mut manifests = ask(state, move |store| store.referrers(&name, &subject)).await?;
    let filter = asked.query("artifactType").filter(|kind| !kind.is_empty());
    if let Some(kind) = &filter {
        manifests.retain(|entry| entry.get("artifactType").and_then(Value::as_str) == Some(kind));
    }
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests});
    let mut response = typed(StatusCode::OK, media::OCI_INDEX, index.to_string().into_bytes());
    if filter.is_some() {
        set(&mut response, OCI_FILTERS_APPLIED, "artifactType");
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let names = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let page = |after: Option<&str>, most| Page { after: after.map(str::to_owned), most };
        assert_eq!(page(None, None).cut(names()), (names(), false));
        assert_eq!(page(None, Some(2)).cut(names()), (names()[..2].to_vec(), true));
        assert_eq!(page(Some("b"), Some(2)).cut(names()), (names()[2..].to_vec(), false));
        assert_eq!(page(Some("bb"), None).cut(names()), (names()[2..].to_vec(), false));
        assert_eq!(page(None, Some(0)).cut(names()), (vec![], false));
        let first = page(None, Some(2));
        assert_eq!(first.next("/p", &names()[..2], true).as_deref(), Some("</p?n=2&last=b>; rel=\"next\""));
        assert_eq!(first.next("/p", &names(), false), None);
    }
}
