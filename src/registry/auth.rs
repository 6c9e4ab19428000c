//! Which `Authorization` a request carries.

use super::challenge::{self, Challenge, Scope};
use super::client::Core;
use super::credentials::Credential;
use super::error::Error;
use super::host::{Entrance, Host};
use super::token::{Token, TokenRequest, basic};
use reqwest::header::HeaderValue;

/// A login as it goes along with a request.
#[derive(Default)]
pub(super) struct Login {
    pub header: Option<HeaderValue>,
    /// True when credentials were found for it.
    pub credentials: bool,
    /// True when the header holds a token, which may be replaced by a fresh one.
    pub bearer: bool,
}

/// Whom a request speaks for.
pub(super) struct Party<'a> {
    pub core: &'a Core,
    pub host: &'a Host,
    pub entrance: &'a Entrance,
    pub repository: &'a str,
    pub scopes: &'a [Scope],
}

impl Party<'_> {
    /// The login before a request: as the host is known to want it, with a token that will not expire at once.
    pub async fn login(&self) -> Result<Login, Error> {
        let Some(challenge) = self.host.challenge() else { return Ok(Login::default()) };
        let credential = self.host.credential(self.core, self.repository)?;
        if challenge.scheme == "basic" {
            return Ok(plain(credential.as_deref()));
        }
        let credentials = credential.is_some();
        // A token for more than is wanted will do: a push need not ask twice. A mount wants another repository as well.
        let wider = self.wider();
        let slot = self.host.tokens.slot(self.repository, &wider);
        if challenge::cover(&wider, self.scopes)
            && let Ok(token) = slot.try_lock()
            && let Some(token) = token.as_ref().filter(|t| t.fresh())
        {
            return Ok(Login { header: Some(token.header.clone()), credentials, bearer: true });
        }
        let slot = self.host.tokens.slot(self.repository, self.scopes);
        let mut kept = slot.lock().await;
        if let Some(token) = kept.as_ref().filter(|t| t.fresh()) {
            return Ok(Login { header: Some(token.header.clone()), credentials, bearer: true });
        }
        let token = self.fetch(&challenge, self.scopes, credential.as_deref()).await?;
        let header = Some(token.header.clone());
        *kept = Some(token);
        Ok(Login { header, credentials, bearer: true })
    }

    /// After a 401: a fresh token for the wanted scopes and those of the challenge, or none when nothing better
    /// than what was refused can be shown.
    pub async fn renew(&self, refused: &Login, fresh: Vec<Challenge>) -> Result<Option<Login>, Error> {
        // Harbor answers a refused token with a Basic challenge: the way it named first still holds.
        let own = challenge::choose(&fresh).filter(|c| !(refused.bearer && c.scheme == "basic")).cloned();
        let Some(challenge) = own.or_else(|| self.host.challenge()) else { return Ok(None) };
        let credential = self.host.credential(self.core, self.repository)?;
        if challenge.scheme == "basic" {
            let login = plain(credential.as_deref());
            return Ok(Some(login).filter(|l| refused.header.is_none() && l.header.is_some()));
        }
        self.forget(refused);
        let scopes = challenge::union(self.scopes, challenge.scopes());
        let slot = self.host.tokens.slot(self.repository, self.scopes);
        let mut kept = slot.lock().await;
        // Another request may have renewed it meanwhile.
        let newer = kept.as_ref().filter(|t| t.fresh() && refused.header.as_ref() != Some(&t.header));
        let header = match newer {
            Some(token) => token.header.clone(),
            None => {
                let token = self.fetch(&challenge, &scopes, credential.as_deref()).await?;
                kept.insert(token).header.clone()
            }
        };
        Ok(Some(Login { header: Some(header), credentials: credential.is_some(), bearer: true }))
    }

    /// What was refused may be the token of a push, which was shown for less: it is not shown again.
    fn forget(&self, refused: &Login) {
        let slot = self.host.tokens.slot(self.repository, &self.wider());
        if let Ok(mut kept) = slot.try_lock() {
            kept.take_if(|token| refused.header.as_ref() == Some(&token.header));
        }
    }

    async fn fetch(&self, challenge: &Challenge, scopes: &[Scope], credential: Option<&Credential>) -> Result<Token, Error> {
        let Party { core, host, entrance, repository, .. } = *self;
        TokenRequest { core, host, entrance, repository, challenge, scopes, credential }.fetch().await
    }

    /// The scopes of a push to the same repository.
    fn wider(&self) -> Vec<Scope> {
        vec![Scope::repository(self.repository, &["pull", "push"])]
    }
}

/// Basic, where there is a password to send.
fn plain(credential: Option<&Credential>) -> Login {
    match credential {
        Some(Credential::Basic { username, password }) => Login { header: basic(username, password), credentials: true, bearer: false },
        _ => Login::default(),
    }
}
