//! Small documents over HTTP, with the connections, waits and retries the registries have.
//!
//! There is no way in to be found first: the address says what is spoken. A login goes to the origin of the address and nowhere
//! else; the host's own is not sent without TLS, one that the person wrote into the address is.

use super::answer::Asked;
use super::client::{Client, Core};
use super::credentials::Credential;
use super::error::{Answer, Error, Reason, Target};
use super::host::{Entrance, Host, is_loopback};
use super::location;
use super::request::Call;
use super::token::basic;
use crate::text::{bare_address, shown};
use crate::web::{Get, Web, WebError};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use reqwest::{Method, Url};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Tries for a host that nobody has heard of yet: a mistyped name shall not take minutes, and there is often another place to ask.
const FIRST_TRIES: u32 = 3;

impl Web for Client {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        let (url, own) = address(request.url)?;
        let core = &self.shared.core;
        let subject = shown(&location::bare(&url)).to_string();
        let result = self.shared.wait(core.document(&url, own, request));
        let withheld = request.login && core.withholds(&url);
        result.and_then(|answer| answer).map_err(|error| told(error, &url, subject, withheld))
    }
}

impl Core {
    /// Asks until the whole document is there, or a failure that is final.
    async fn document(&self, url: &Url, own: Option<HeaderValue>, request: &Get<'_>) -> Result<Vec<u8>, Error> {
        let name = location::authority(url);
        let host = self.host(&name);
        let settings = self.settings(&name)?;
        let pair = self.pair(&name, &settings, is_loopback(&name))?;
        let base = url.join("/").map_err(|_| Error::BadHost { host: name.clone() })?;
        let entrance = Entrance { base, settings, pair };
        let login = match own {
            None if request.login => self.login_of(&host, url)?,
            own => own,
        };
        let path = url.path().trim_start_matches('/').to_owned();
        let target = Arc::new(Target { host: name, repository: path, reference: String::new() });
        let mut call = Call::new(Method::GET, url.clone(), target, Asked::Document, self).header(ACCEPT_ENCODING, "identity");
        if !request.accept.is_empty() {
            call = call.header(ACCEPT, request.accept);
        }
        let (mut attempt, mut heard) = (0, false);
        loop {
            let failure = match self.attempt(&host, &entrance, &mut call, login.clone(), request.limit).await {
                Ok(document) => return Ok(document),
                Err(failure) => failure,
            };
            attempt += 1;
            heard |= !matches!(
                &failure,
                Error::Unreachable { reason: Reason::Dns | Reason::Refused | Reason::NoRoute | Reason::ConnectTimeout, .. }
            );
            let tries = self.options.timing.tries;
            self.after(&host, failure, attempt, if heard { tries } else { tries.min(FIRST_TRIES) }).await?;
        }
    }

    /// One request and its whole body.
    async fn attempt(
        &self,
        host: &Host,
        entrance: &Entrance,
        call: &mut Call,
        login: Option<HeaderValue>,
        limit: u64,
    ) -> Result<Vec<u8>, Error> {
        let credentials = login.is_some();
        let mut reply = self.follow(host, entrance, call, login).await?;
        reply.credentials = credentials;
        if reply.response.status() != 200 {
            return Err(host.refusal(self, reply, &call.target, call.asked).await);
        }
        // What is announced too long is not begun. What is announced shorter than it is, ends as announced.
        if reply.length().is_some_and(|length| length > limit) {
            return Err(Error::OverLimit { target: call.target.clone(), limit });
        }
        reply.body(self, &call.target, limit).await
    }

    /// True where no stored login is sent: somebody on the way could read it.
    fn withholds(&self, url: &Url) -> bool {
        url.scheme() != "https" && !is_loopback(&location::authority(url)) && self.options.verify_tls
    }

    /// The host's login from the credentials files, under the rule that holds for registries.
    fn login_of(&self, host: &Host, url: &Url) -> Result<Option<HeaderValue>, Error> {
        if self.withholds(url) {
            return Ok(None);
        }
        Ok(host.credential(self, "")?.and_then(|found| match &*found {
            Credential::Basic { username, password } => basic(username, password),
            Credential::IdentityToken(_) => None,
        }))
    }
}

/// Reads an address; the login in it comes back beside it.
fn address(text: &str) -> Result<(Url, Option<HeaderValue>), WebError> {
    let bad = || WebError::Url(shown(&bare_address(text)).to_string());
    let mut url = Url::parse(text).map_err(|_| bad())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(bad());
    }
    let mut own = None;
    if !url.username().is_empty() || url.password().is_some() {
        let name = unescaped(url.username()).ok_or_else(bad)?;
        let password = unescaped(url.password().unwrap_or_default()).ok_or_else(bad)?;
        own = Some(basic(&name, &password).ok_or_else(bad)?);
    }
    url.set_username("").map_err(|()| bad())?;
    url.set_password(None).map_err(|()| bad())?;
    url.set_fragment(None);
    Ok((url, own))
}

/// Text with `%` escapes (RFC 3986, section 2.1) taken away; `None` where it is not UTF-8 or could not stand in a header.
fn unescaped(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let value = match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            other => other,
        };
        bytes.push(value);
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    (!text.contains(char::is_control)).then(|| Zeroizing::new(text.to_owned()))
}

/// What a failure means for a document.
fn told(error: Error, url: &Url, subject: String, withheld: bool) -> WebError {
    let words = error.answer().map(words).unwrap_or_default();
    match (&error, error.answer().map(|a| a.status)) {
        (Error::Cancelled, _) => WebError::Cancelled,
        (Error::OverLimit { limit, .. }, _) => WebError::TooLong { url: subject, limit: *limit },
        (_, Some(404 | 410)) => WebError::NotFound(subject),
        (_, Some(status @ (401 | 403))) => {
            let words = if withheld { words + ": a stored login is not sent without TLS" } else { words };
            WebError::Refused { url: subject, status, words }
        }
        (_, Some(status)) => WebError::Status { url: subject, status, words },
        (Error::Unreachable { host, reason, plain: _ }, None) => {
            let why = if *host == location::authority(url) { reason.to_string() } else { format!("{}: {reason}", shown(host)) };
            WebError::Unreachable { url: subject, why }
        }
        (other, None) => WebError::Unreachable { url: subject, why: other.to_string() },
    }
}

fn words(answer: &Answer) -> String {
    match (&answer.from, answer.message.as_str()) {
        (None, "") => String::new(),
        (None, message) => format!(": {message}"),
        (Some(from), "") => format!(": so said {}", shown(from)),
        (Some(from), message) => format!(": {} said {message}", shown(from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_an_address_is_used_and_never_shown() {
        let (url, own) = address("https://al%C3%AFce:p%40w%3A%2B+@charts.test:8443/index.yaml?sig=s3cret#part").unwrap();
        assert_eq!(url.as_str(), "https://charts.test:8443/index.yaml?sig=s3cret");
        let own = own.unwrap();
        assert_eq!(own, basic("al\u{ef}ce", "p@w:++").unwrap());
        assert!(own.is_sensitive());
        for bad in [
            "ftp://al:s3cret@charts.test/",
            "al:s3cret@charts.test",
            "https://al:s3cret@/x",
            "http://al:s3%00cret@h/",
            "h?s3cret",
            "https://al:s3?cret@h/",
            "https://al:s3#@h/",
            "ftp://al:s3 cret@h/",
        ] {
            let error = address(bad).unwrap_err();
            assert!(matches!(error, WebError::Url(_)) && !error.to_string().contains("s3"), "{error}");
        }
    }

    #[test]
    fn addresses_without_login_have_none() {
        assert!(address("http://charts.test/a@b/c").unwrap().1.is_none());
        assert!(address("file:///etc/passwd").is_err());
        assert!(address("\u{1b}[2J").unwrap_err().to_string().chars().all(|c| !c.is_control()));
    }
}
