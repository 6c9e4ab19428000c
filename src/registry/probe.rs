//! Questions that only a look before a long push asks.

use super::answer::Asked;
use super::client::Repository;
use super::error::Error;
use super::host::Host;
use super::location;
use super::request::Call;
use super::session::{Session, cancel};
use super::software::{self, Software};
use reqwest::Method;
use reqwest::header::DATE;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// How a registry greets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// What it seems to be.
    pub software: Software,
    /// TLS is spoken.
    pub tls: bool,
    /// Its certificate was verified.
    pub verified: bool,
    /// How many seconds its clock is ahead of ours (negative: behind), where it tells the time.
    pub ahead: Option<i64>,
    /// How it wants to be logged in to: `basic`, `bearer`, or nothing.
    pub login: Option<String>,
}

/// Where a registry sends an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPlace {
    /// The host it names.
    pub host: String,
    /// It is the registry itself.
    pub own: bool,
    /// It named itself with another scheme or port than it was reached by.
    pub mended: bool,
}

impl Repository {
    /// Pings once more and reads what the answer says beside its status.
    ///
    /// # Errors
    /// As [`Repository::ping`].
    pub fn greeting(&self) -> Result<Greeting, Error> {
        self.wait(async {
            let core = &self.shared.core;
            let entrance = self.host.enter(core).await?;
            let asked = Asked::Ping { plain: location::is_plain(&entrance.base) };
            let call = Call::new(Method::GET, entrance.base.clone(), self.target(""), asked, core);
            let reply = core.bare(&self.host, entrance, call, core.options.timing.tries, &[200, 401, 403]).await?;
            let date = reply.header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
            let greeting = Greeting {
                software: software::recognise(reply.response.headers(), &Host::challenges(reply.response.headers())),
                tls: entrance.base.scheme() == "https",
                verified: entrance.settings.verify,
                ahead: date.map(|date| ahead(date, SystemTime::now())),
                login: self.host.challenge().map(|challenge| challenge.scheme),
            };
            reply.drain(core).await;
            Ok(greeting)
        })
    }

    /// Opens an upload, says where it leads, and gives it back: needs the right to push, and leaves nothing.
    ///
    /// # Errors
    /// What opening an upload can fail with; [`Error::ForeignLocation`] where it leads away from TLS.
    pub fn upload_place(&self) -> Result<UploadPlace, Error> {
        self.wait(async {
            let core = &self.shared.core;
            let target = self.target("");
            let url = self.host.enter(core).await?.url(&target, &self.path("blobs/uploads/"))?;
            let call = Call::new(Method::POST, url, target.clone(), Asked::Upload, core).scopes(self.push());
            let reply = core.request(&self.host, call, &[202, 201]).await?;
            let mended = self.host.mended.load(Ordering::Relaxed);
            let session = Session::of(&reply, core, &self.host, &target).await;
            reply.drain(core).await;
            let session = session?;
            let place = UploadPlace { host: location::authority(&session.url), own: session.own, mended: session.mended || mended };
            cancel(core, &self.host, &target, self.push(), session).await;
            Ok(place)
        })
    }

    /// The largest body that passed once one was refused as too large (413); none while all passed.
    pub fn body_limit(&self) -> Option<u64> {
        Some(self.host.body_limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }
}

fn ahead(theirs: SystemTime, ours: SystemTime) -> i64 {
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(span) => seconds(span),
        Err(behind) => -seconds(behind.duration()),
    }
}
