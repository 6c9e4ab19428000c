//! Upload sessions: opened, followed, given back; and mounts, which may open one by accident.

use super::answer::Asked;
use super::challenge::Scope;
use super::client::{Core, Repository};
use super::error::{Error, Target};
use super::host::Host;
use super::location;
use super::reply::Reply;
use super::request::{Call, Exchange};
use super::token;
use crate::oci::Descriptor;
use reqwest::header::{HeaderName, LOCATION};
use reqwest::{Method, Url};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// An open upload session at the registry.
pub(super) struct Session {
    pub url: Url,
    /// The registry itself, or who hands out its tokens: they may see the login.
    pub own: bool,
    /// Scheme or port had to be put back.
    pub mended: bool,
    pub min_piece: u64,
}

impl Repository {
    /// Takes over a blob that another repository of the same registry has. False when the registry does not: then
    /// it has to be put.
    ///
    /// # Errors
    /// Only those that would also stop a put: unreachable, interrupted, still failing after all tries.
    pub fn mount(&self, blob: &Descriptor, from_repository: &str) -> Result<bool, Error> {
        self.wait(async {
            let core = &self.shared.core;
            let target = self.target(blob.digest);
            let path = self.path(&format!("blobs/uploads/?mount={}&from={from_repository}", blob.digest));
            let url = self.host.enter(core).await?.url(&target, &path)?;
            let mut scopes = self.push();
            // Without the right to read the source registries answer 202, as if it were not there.
            if *from_repository != *self.name {
                scopes.push(Scope::repository(from_repository, &["pull"]));
            }
            let call = Call::new(Method::POST, url, target.clone(), Asked::Upload, core).scopes(scopes);
            let reply = match core.request(&self.host, call, &[201, 202]).await {
                Ok(reply) => reply,
                Err(
                    Error::LoginRefused { .. }
                    | Error::NotFound { .. }
                    | Error::Unsupported { .. }
                    | Error::Denied { .. }
                    | Error::Refused { .. }
                    | Error::TooLarge { .. },
                ) => return Ok(false),
                Err(other) => return Err(other),
            };
            let mounted = reply.response.status() == 201;
            let session = Session::of(&reply, core, &self.host, &target).await;
            reply.drain(core).await;
            // 202 opened an ordinary upload that nobody will use.
            if let (false, Ok(session)) = (mounted, session) {
                cancel(core, &self.host, &target, self.push(), session).await;
            }
            Ok(mounted)
        })
    }
}

impl Session {
    /// The session an answer names.
    pub async fn of(reply: &Reply, core: &Core, host: &Host, target: &Arc<Target>) -> Result<Session, Error> {
        let entrance = host.enter(core).await?;
        let base = &entrance.base;
        let place = reply.header(LOCATION).and_then(|to| location::resolve(&reply.url, to, base));
        let Some(place) = place else {
            return Err(Error::Protocol { target: target.clone(), what: "an upload without a usable Location".to_owned() });
        };
        if place.mended && !host.mended.swap(true, Ordering::Relaxed) {
            core.warn(&host.name, "the registry names itself with another scheme or port; its proxy should set X-Forwarded-Proto and Host");
        }
        if !place.own && base.scheme() == "https" && place.url.scheme() == "http" && entrance.settings.verify {
            return Err(Error::ForeignLocation { target: target.clone(), to: location::authority(&place.url), silent: None });
        }
        let min_piece = reply.header(OCI_CHUNK_MIN_LENGTH).and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        // A registry reached by an alias names itself in both: its token service has seen the login already.
        let realm = host.challenge().and_then(|challenge| token::realm(&challenge, base));
        let own = place.own || realm.is_some_and(|realm| location::same_origin(&realm, &place.url));
        Ok(Session { url: place.url, own, mended: place.mended, min_piece })
    }
}

/// Gives a session back, so that no litter stays. Nobody waits for its success.
pub(super) async fn cancel(core: &Core, host: &Host, target: &Arc<Target>, scopes: Vec<Scope>, session: Session) {
    let mut call = Call::new(Method::DELETE, session.url, target.clone(), Asked::Upload, core).scopes(scopes);
    call.login = session.own;
    call.renew = false;
    call.patience = call.patience.min(Duration::from_secs(10));
    if let Ok(Exchange::Reply(reply)) = core.exchange(host, &mut call).await {
        reply.drain(core).await;
    }
}
