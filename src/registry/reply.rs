//! An answer and its body.

use super::client::{Core, Halt};
use super::error::{Error, Target};
use super::location;
use super::tls;
use crate::limits;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Response, Url};
use std::sync::Arc;
use std::time::Duration;

/// An answer, of whatever status.
pub(super) struct Reply {
    pub response: Response,
    /// True when credentials were behind the request.
    pub credentials: bool,
    /// The host that answered, when not the registry itself.
    pub from: Option<String>,
    /// The URL that answered.
    pub url: Url,
}

impl Reply {
    pub fn header(&self, name: reqwest::header::HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// `Content-Length` as written: for HEAD the client library would say 0.
    pub fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// A whole small body.
    pub async fn body(self, core: &Core, target: &Arc<Target>, limit: u64) -> Result<Vec<u8>, Error> {
        let mut response = self.response;
        let mut body = Vec::new();
        let stall = core.options.timing.stall;
        loop {
            let chunk = core.watched(stall, response.chunk()).await.map_err(|halt| match halt {
                Halt::Cancelled => Error::Cancelled,
                Halt::Elapsed => Error::Stalled { target: target.clone(), after: stall },
            })?;
            let (authority, plain) = (location::authority(&self.url), location::is_plain(&self.url));
            let lost = |e| Error::Unreachable { host: authority, reason: tls::reason(&e), plain };
            match chunk.map_err(lost)? {
                Some(bytes) if (body.len() + bytes.len()) as u64 > limit => {
                    return Err(Error::OverLimit { target: target.clone(), limit });
                }
                Some(bytes) => body.extend_from_slice(&bytes),
                None => return Ok(body),
            }
        }
    }

    /// What can be had of an error's body: distribution 2.8 announces whole blobs in a 416 and sends 33 bytes.
    pub async fn error_body(mut self, core: &Core) -> Vec<u8> {
        let mut body = Vec::new();
        let wait = core.options.timing.stall.min(Duration::from_secs(10));
        while let Ok(Ok(Some(bytes))) = core.watched(wait, self.response.chunk()).await {
            let room = (limits::ERROR_BODY_BYTES as usize).saturating_sub(body.len());
            body.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            if body.len() as u64 >= limits::ERROR_BODY_BYTES {
                break;
            }
        }
        body
    }

    /// Reads an unimportant body to its end, so that the connection can be used again.
    pub async fn drain(self, core: &Core) {
        self.error_body(core).await;
    }
}
