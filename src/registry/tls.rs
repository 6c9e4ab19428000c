//! HTTP clients per set of TLS settings, and what their failures mean.

use super::certs::TlsSettings;
use super::error::{Error, Reason};
use super::options::Options;
use super::pinned::{self, Believed};
use reqwest::{Certificate, ClientBuilder, Identity};
use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::{Duration, UNIX_EPOCH};

/// Two clients with the same settings.
pub(super) struct Pair {
    /// Small requests; HTTP/2 where the server offers it.
    pub api: reqwest::Client,
    /// Blobs; HTTP/1.1 only, because HTTP/2 puts all streams to a host into one connection and its one window.
    pub blob: reqwest::Client,
}

impl Pair {
    /// Builds both. `direct` leaves proxies out (loopback hosts).
    pub fn build(host: &str, settings: &TlsSettings, options: &Options, direct: bool) -> Result<Pair, Error> {
        let api = build(host, settings, options, direct, |b| b)?;
        let blob = build(host, settings, options, direct, ClientBuilder::http1_only)?;
        Ok(Pair { api, blob })
    }
}

impl Pair {
    /// Two clients that believe the named certificates themselves, and nothing that these have signed ([`pinned`]).
    pub fn pinned(host: &str, settings: &TlsSettings, options: &Options, direct: bool) -> Result<Pair, Error> {
        let client = |protocols: &[&[u8]], only_http1: bool| {
            let bad = |why: String| Error::BadCertificate { host: host.to_owned(), why };
            let believed = Believed::these(&settings.extra_cas).map_err(bad)?;
            let mut config = pinned::config(believed, settings.identity()).map_err(bad)?;
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            let mut builder = plain(options).tls_backend_preconfigured(config);
            if direct {
                builder = builder.no_proxy();
            }
            if only_http1 {
                builder = builder.http1_only();
            }
            builder.build().map_err(|e| bad(deepest(&e)))
        };
        Ok(Pair { api: client(&[b"h2", b"http/1.1"], false)?, blob: client(&[b"http/1.1"], true)? })
    }
}

fn build(
    host: &str,
    settings: &TlsSettings,
    options: &Options,
    direct: bool,
    shape: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, Error> {
    let bad = |e: reqwest::Error| Error::BadCertificate { host: host.to_owned(), why: deepest(&e) };
    let mut cas = Vec::new();
    for pem in &settings.extra_cas {
        cas.extend(Certificate::from_pem_bundle(pem).map_err(bad)?);
    }
    let identity = settings.identity_pem.as_ref().map(|pem| Identity::from_pem(pem)).transpose().map_err(bad)?;
    let start = || {
        let mut builder = shape(plain(options)).tls_danger_accept_invalid_certs(!settings.verify);
        if direct {
            builder = builder.no_proxy();
        }
        match &identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    };
    // A host without any certificate bundle makes the first build fail, even where only plain HTTP is wanted.
    let built = start().tls_certs_merge(cas.clone()).build();
    built.or_else(|_| start().tls_certs_only(cas).build()).map_err(bad)
}

/// What both clients share: no redirects, no retries, no whole-request limit. All three are done by hand.
fn plain(options: &Options) -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(options.user_agent.clone())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(options.timing.connect)
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(options.downloads.max(options.uploads).max(1))
        .tcp_keepalive(Duration::from_secs(30))
}

/// Why no answer came.
pub(super) fn reason(error: &reqwest::Error) -> Reason {
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(link) = at {
        if let Some(found) = link.downcast_ref::<rustls::Error>() {
            return of_tls(found);
        }
        // What stands behind is about the way to the proxy, not about the host.
        if link.to_string().starts_with("tunnel error") {
            return Reason::Proxy(deepest(error));
        }
        let inner = link.downcast_ref::<io::Error>();
        if let Some(found) = inner.and_then(of_io) {
            return found;
        }
        // The only trace of a failed name lookup is this text of the connector.
        if link.to_string() == "dns error" {
            return Reason::Dns;
        }
        // `io::Error::source` steps over the error it wraps.
        at = match inner.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => link.source(),
        };
    }
    match error {
        e if e.is_timeout() && e.is_connect() => Reason::ConnectTimeout,
        e if e.is_connect() && is_of_proxy(&deepest(e)) => Reason::Proxy(deepest(e)),
        e if e.is_builder() => Reason::Other(deepest(e)),
        e => Reason::Lost(deepest(e)),
    }
}

/// The connector's words for what a proxy did (`tunnel error: unsuccessful`, `proxy authorization required`).
fn is_of_proxy(words: &str) -> bool {
    ["proxy", "tunnel", "unsuccessful", "SOCKS"].iter().any(|word| words.contains(word))
}

fn of_io(error: &io::Error) -> Option<Reason> {
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(Reason::Refused),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Some(Reason::NoRoute),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            Some(Reason::Lost(error.kind().to_string()))
        }
        // HTTP/2 keeps only the words of what its connection failed with.
        ErrorKind::InvalidData if error.get_ref().is_none_or(|e| e.downcast_ref::<rustls::Error>().is_none()) => {
            of_alert(&error.to_string())
        }
        // rustls ends a handshake with a peer that simply closes in this kind.
        ErrorKind::UnexpectedEof => Some(Reason::Lost("closed early".to_owned())),
        _ => None,
    }
}

/// What a server that checks client certificates says (RFC 8446, section 6.2), as rustls prints it.
fn of_alert(words: &str) -> Option<Reason> {
    let alert = words.strip_prefix("received fatal alert: ")?;
    let about_client = ["CertificateRequired", "BadCertificate", "UnknownCA", "CertificateUnknown", "AccessDenied"].contains(&alert);
    Some(if about_client { Reason::ClientCertificate } else { Reason::Tls(crate::text::shown(alert).to_string()) })
}

/// The alert a connection ended with, if it is one.
pub(super) fn of_alert_in(error: &io::Error) -> Option<Reason> {
    let found = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(found, rustls::Error::AlertReceived(_)).then(|| of_tls(found))
}

fn of_tls(error: &rustls::Error) -> Reason {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    match error {
        // A bad signature is that of an authority made anew under its old name: the one at hand is not the one that signed.
        Tls::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => Reason::UnknownCa,
        Tls::InvalidCertificate(Bad::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => Reason::SelfSigned,
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => Reason::NameMismatch,
        Tls::InvalidCertificate(Bad::ExpiredContext { time, not_after }) => {
            Reason::Expired { end: date(not_after.as_secs()), now: date(time.as_secs()) }
        }
        Tls::InvalidCertificate(Bad::NotValidYetContext { time, not_before }) => {
            Reason::NotYetValid { start: date(not_before.as_secs()), now: date(time.as_secs()) }
        }
        Tls::InvalidCertificate(Bad::Expired) => Reason::Expired { end: date(u64::MAX), now: date(u64::MAX) },
        Tls::InvalidCertificate(Bad::NotValidYet) => Reason::NotYetValid { start: date(u64::MAX), now: date(u64::MAX) },
        Tls::InvalidMessage(_) => Reason::PlainHttp,
        Tls::AlertReceived(
            Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA | Alert::CertificateUnknown | Alert::AccessDenied,
        ) => Reason::ClientCertificate,
        other => Reason::Tls(crate::text::shown(&other.to_string()).to_string()),
    }
}

/// A moment in seconds since 1970, as HTTP writes it (RFC 9110, section 5.6.7): four digits for the year.
fn date(seconds: u64) -> String {
    const END: u64 = 253_402_300_800;
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds < END) {
        Some(moment) => httpdate::fmt_http_date(moment),
        None => "a date that is not told".to_owned(),
    }
}

/// The words of the innermost error: the outer ones name URLs.
pub(super) fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    match at.downcast_ref::<reqwest::Error>() {
        // Its display may carry the URL with a signed query.
        Some(_) => "request failed".to_owned(),
        None => crate::text::shown(&at.to_string()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_switched_off_is_no_broken_connection() {
        for (kind, silence) in [
            (ErrorKind::HostUnreachable, true),
            (ErrorKind::NetworkUnreachable, true),
            (ErrorKind::ConnectionRefused, true),
            (ErrorKind::ConnectionReset, false),
            (ErrorKind::BrokenPipe, false),
        ] {
            assert_eq!(of_io(&kind.into()).unwrap().is_silence(), silence, "{kind}");
        }
    }
}
