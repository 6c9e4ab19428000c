//! Tokens: fetched where the challenge says, kept per repository and scopes.

use super::answer::Asked;
use super::challenge::{Challenge, Scope};
use super::client::Core;
use super::credentials::Credential;
use super::error::{Error, Target};
use super::host::{Entrance, Host};
use super::location;
use super::request::{Call, Payload};
use crate::limits;
use base64::Engine as _;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A token is renewed this long before its end.
const EARLY: Duration = Duration::from_secs(10);
/// Shortest lifetime believed, and the one assumed where none is given (distribution, token specification).
const LIFETIME: u64 = 60;
/// Longest lifetime believed.
const LIFETIME_MAX: u64 = 12 * 3600;
/// Kept tokens per host, beyond which expired ones are thrown away.
const KEPT: usize = 512;

/// A token ready to be sent.
pub(super) struct Token {
    pub header: HeaderValue,
    until: Instant,
}

impl Token {
    pub fn fresh(&self) -> bool {
        self.until > Instant::now() + EARLY
    }
}

/// One place per repository and scopes; whoever fetches holds it locked, so that others wait instead of asking too.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// The tokens of one host.
#[derive(Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<(String, Vec<Scope>), Slot>>,
}

impl Tokens {
    pub fn slot(&self, repository: &str, scopes: &[Scope]) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() > KEPT {
            slots.retain(|_, slot| slot.try_lock().map_or(true, |t| t.as_ref().is_some_and(Token::fresh)));
        }
        slots.entry((repository.to_owned(), scopes.to_vec())).or_default().clone()
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Number>,
}

/// `Basic` for user and password (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> Option<HeaderValue> {
    let plain = Zeroizing::new(format!("{username}:{password}"));
    let encoded = Zeroizing::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain.as_bytes())));
    secret(&encoded)
}

/// A header value that prints nothing of itself.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The address of the token service a challenge sends to; it may be relative to the registry's own, `base`.
pub(super) fn realm(challenge: &Challenge, base: &Url) -> Option<Url> {
    let realm = challenge.get("realm")?;
    // Nexus 3.77 forgets the scheme of its own address.
    let named = realm.strip_prefix("null://").map(|rest| format!("{}://{rest}", base.scheme()));
    let mut url = base.join(named.as_deref().unwrap_or(realm)).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return None;
    }
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url)
}

/// One request for a token.
pub(super) struct TokenRequest<'a> {
    pub core: &'a Core,
    pub host: &'a Host,
    pub entrance: &'a Entrance,
    pub repository: &'a str,
    pub challenge: &'a Challenge,
    pub scopes: &'a [Scope],
    pub credential: Option<&'a Credential>,
}

impl TokenRequest<'_> {
    /// Asks the token service (distribution, "Token Authentication Specification" and its OAuth2 form).
    pub async fn fetch(&self) -> Result<Token, Error> {
        let realm = self.realm()?;
        let tries = self.core.options.timing.tries;
        let mut attempt = 0;
        loop {
            let realm = realm.clone();
            let call = match self.credential {
                Some(Credential::IdentityToken(token)) => self.post(realm, token),
                Some(Credential::Basic { username, password }) => self.get(realm, Some((username, password))),
                None => self.get(realm, None),
            };
            let target = call.target.clone();
            let reply = self.core.bare(self.host, self.entrance, call, tries, &[200]).await.map_err(|e| self.told(e))?;
            if let Some(body) = self.core.body_of(self.host, reply, &target, limits::TOKEN_BYTES, &mut attempt).await? {
                return self.read(&target, &Zeroizing::new(body));
            }
        }
    }

    /// The failure, with what the login depended on.
    fn told(&self, error: Error) -> Error {
        match error {
            Error::LoginRefused { target, answer, .. } => {
                Error::LoginRefused { target, answer, credentials_sent: self.credential.is_some() }
            }
            other => other,
        }
    }

    /// The realm may be on any host; but never with less protection than the registry.
    fn realm(&self) -> Result<Url, Error> {
        let url = realm(self.challenge, &self.entrance.base).ok_or_else(|| {
            let what = format!("token realm {:?} is no URL", self.challenge.get("realm").unwrap_or_default());
            Error::Protocol { target: self.target(), what: what.chars().take(300).collect() }
        })?;
        if url.scheme() == "http" && self.entrance.base.scheme() == "https" && self.entrance.settings.verify {
            return Err(Error::InsecureRealm { host: self.host.name.clone(), realm: location::authority(&url) });
        }
        Ok(url)
    }

    fn target(&self) -> Arc<Target> {
        Arc::new(Target { host: self.host.name.clone(), repository: self.repository.to_owned(), reference: String::new() })
    }

    fn get(&self, mut url: Url, login: Option<(&String, &Zeroizing<String>)>) -> Call {
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.challenge.get("service") {
                query.append_pair("service", service);
            }
            for scope in self.scopes {
                query.append_pair("scope", &scope.to_string());
            }
            if let Some((username, _)) = login {
                query.append_pair("account", username);
            }
            query.append_pair("client_id", "sealift");
        }
        let mut call = Call::new(Method::GET, url, self.target(), Asked::Token, self.core);
        call.given = login.and_then(|(username, password)| basic(username, password));
        call
    }

    /// OAuth2 with a refresh token: only for credentials that are one.
    fn post(&self, url: Url, token: &str) -> Call {
        let scopes: Vec<String> = self.scopes.iter().map(Scope::to_string).collect();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token).append_pair("client_id", "sealift");
        if let Some(service) = self.challenge.get("service") {
            form.append_pair("service", service);
        }
        form.append_pair("scope", &scopes.join(" "));
        let mut call = Call::new(Method::POST, url, self.target(), Asked::Token, self.core);
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        call.body = Payload::Bytes(form.finish().into_bytes().into());
        call
    }

    fn read(&self, target: &Arc<Target>, body: &[u8]) -> Result<Token, Error> {
        let bad = |what: &str| Error::Protocol { target: target.clone(), what: format!("token service: {what}") };
        let answer: TokenAnswer = serde_json::from_slice(body).map_err(|_| bad("the answer is not a token"))?;
        let text = answer.token.filter(|t| !t.is_empty()).or(answer.access_token).map(Zeroizing::new);
        let text = text.filter(|t| !t.is_empty()).ok_or_else(|| bad("the answer holds no token"))?;
        let header = secret(&Zeroizing::new(format!("Bearer {}", text.as_str()))).ok_or_else(|| bad("the token cannot be sent"))?;
        // Counted from here: clocks differ, `issued_at` is not looked at.
        let seconds = answer.expires_in.and_then(|n| n.as_f64()).map_or(LIFETIME, |s| (s as u64).clamp(LIFETIME, LIFETIME_MAX));
        Ok(Token { header, until: Instant::now() + Duration::from_secs(seconds) })
    }
}
