//! Projects of Harbor and organisations of Quay: what has to be there before anything can be pushed below it.

use super::answer::Asked;
use super::client::Repository;
use super::credentials::Credential;
use super::error::{Error, Missing};
use super::request::{Call, Payload};
use super::software::Software;
use super::token::basic;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;
use zeroize::Zeroizing;

/// What became of a wish for a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Project {
    /// It was there.
    Exists,
    /// It was made.
    Created,
}

impl Repository {
    /// Makes sure that the project (Harbor) or organisation (Quay) of this repository exists: its first path component. `None` for
    /// registries where nothing has to be made, or nothing is known about how.
    ///
    /// Harbor takes the password of an account that may create projects; Quay wants an OAuth access token, given as the password
    /// of the user `$oauthtoken`.
    ///
    /// # Errors
    /// [`Error::LoginRefused`] where the account may not do that, and all that any request can fail with.
    pub fn ensure_project(&self, software: Software) -> Result<Option<Project>, Error> {
        let name = self.name.split('/').next().unwrap_or_default().to_owned();
        let (ask, make, body) = match software {
            Software::Harbor => (
                (Method::HEAD, format!("/api/v2.0/projects?project_name={name}")),
                "/api/v2.0/projects",
                json!({ "project_name": name, "metadata": { "public": "false" } }),
            ),
            Software::Quay => (
                (Method::GET, format!("/api/v1/organization/{name}")),
                "/api/v1/organization/",
                // Quay wants an address that no other account has; nobody is written to.
                json!({ "name": name, "email": format!("{name}@sealift.invalid") }),
            ),
            _ => return Ok(None),
        };
        self.wait(async {
            let given = self.api_login(software)?;
            let found = self.api(ask.0, &ask.1, given.clone(), Payload::Empty, &[200, 404]).await?;
            if found == 200 {
                return Ok(Some(Project::Exists));
            }
            let body = Payload::Bytes(body.to_string().into_bytes().into());
            // 409: somebody else has just made it.
            Ok(Some(match self.api(Method::POST, make, given, body, &[200, 201, 409]).await? {
                409 => Project::Exists,
                _ => Project::Created,
            }))
        })
    }

    /// The login for the product's own interface, which is not the registry's.
    fn api_login(&self, software: Software) -> Result<Option<HeaderValue>, Error> {
        let credential = self.host.credential(&self.shared.core, &self.name)?;
        Ok(match credential.as_deref() {
            Some(Credential::Basic { username, password }) if software == Software::Quay && username == "$oauthtoken" => {
                let mut value = HeaderValue::from_str(&Zeroizing::new(format!("Bearer {}", password.as_str()))).ok();
                value.iter_mut().for_each(|value| value.set_sensitive(true));
                value
            }
            Some(Credential::Basic { username, password }) => basic(username, password),
            _ => None,
        })
    }

    async fn api(&self, method: Method, path: &str, given: Option<HeaderValue>, body: Payload, accept: &[u16]) -> Result<u16, Error> {
        let core = &self.shared.core;
        let entrance = self.host.enter(core).await?;
        let target = self.target("");
        let bad = |e| Error::Protocol { target: target.clone(), what: format!("no URL can be made: {e}") };
        let url = entrance.base.join(path).map_err(bad)?;
        let sent = given.is_some();
        let mut call = Call::new(method, url, target.clone(), Asked::Projects, core);
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.given = given;
        call.body = body;
        let reply = core.bare(&self.host, entrance, call, core.options.timing.tries, accept).await.map_err(|e| told(e, sent))?;
        let status = reply.response.status().as_u16();
        reply.drain(core).await;
        Ok(status)
    }
}

/// A failure with what the login depended on. Where there is no such interface the product was mistaken for another.
fn told(error: Error, credentials_sent: bool) -> Error {
    match error {
        Error::LoginRefused { target, answer, .. } => Error::LoginRefused { target, credentials_sent, answer },
        Error::NotFound { target, answer, .. } => Error::NotFound { target, what: Missing::Repository, answer },
        other => other,
    }
}
