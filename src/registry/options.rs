//! How the client behaves. Everything comes in from outside: no file, no environment, no terminal is read here.

use super::certs::{TlsError, TlsLookup, TlsSettings};
use super::credentials::{CredentialLookup, NoCredentials};
use super::hosts::HostTable;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a [`super::Client`].
#[derive(Clone)]
pub struct Options {
    /// Trusted certificates and client certificates per host.
    pub tls: Arc<dyn TlsLookup>,
    /// Logins.
    pub credentials: Arc<dyn CredentialLookup>,
    /// False: any certificate is taken, and a host that speaks no TLS is spoken to in plain HTTP.
    pub verify_tls: bool,
    /// Blobs read from one host at the same time.
    pub downloads: usize,
    /// Blobs written to one host at the same time.
    pub uploads: usize,
    /// What is set for single hosts.
    pub hosts: HostTable,
    /// Hosts for which nothing is set may be treated more gently than `uploads` says, by what they are found to be.
    pub gentle: bool,
    /// Waiting and retrying.
    pub timing: Timing,
    /// What the client calls itself.
    pub user_agent: String,
    /// Looked at in every wait and between chunks; true ends the work with [`super::Error::Cancelled`].
    pub cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Hears one line, already escaped, about what a person should know: a registry's `Warning` header (once per
    /// host), a proxy that hides the scheme.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Hears one line, already escaped, about what is being waited for when that takes long: at most one a minute and host.
    pub note: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Every span of time the client knows.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Name lookup, connection and TLS handshake together.
    pub connect: Duration,
    /// Longest silence of a peer in the middle of an exchange.
    pub stall: Duration,
    /// Longest wait for the answer to a whole upload: the registry may hash and move gigabytes first.
    pub commit: Duration,
    /// Tries of one request, or of one blob without progress in between.
    pub tries: u32,
    /// First wait between tries; doubles each time, with full jitter.
    pub retry_base: Duration,
    /// Longest such wait.
    pub retry_cap: Duration,
    /// Longest `Retry-After` that is honoured.
    pub retry_after_cap: Duration,
    /// How long a host that has answered before may be away, tries or no tries: registries are restarted and moved at night.
    pub outage: Duration,
    /// First wait when a registry has counted too many pulls and does not say how long to wait; doubles each time up to
    /// `retry_after_cap`. Such limits are counted in hours: asking again within seconds only uses the tries up.
    pub pulls_base: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            commit: Duration::from_secs(15 * 60),
            tries: 8,
            retry_base: Duration::from_millis(500),
            retry_cap: Duration::from_secs(30),
            retry_after_cap: Duration::from_secs(5 * 60),
            outage: Duration::from_secs(2 * 60),
            pulls_base: Duration::from_secs(60),
        }
    }
}

impl Default for Options {
    /// Anonymous, the system's certificates, six downloads and four uploads per host.
    fn default() -> Options {
        Options {
            tls: Arc::new(SystemTls),
            credentials: Arc::new(NoCredentials),
            verify_tls: true,
            downloads: 6,
            uploads: 4,
            hosts: HostTable::default(),
            gentle: true,
            timing: Timing::default(),
            user_agent: concat!("sealift/", env!("CARGO_PKG_VERSION")).to_owned(),
            cancelled: Arc::new(|| false),
            warn: Arc::new(|_| {}),
            note: Arc::new(|_| {}),
        }
    }
}

/// Trusts what the system trusts and shows no client certificate.
struct SystemTls;

impl TlsLookup for SystemTls {
    fn for_host(&self, _: &str) -> Result<TlsSettings, TlsError> {
        Ok(TlsSettings { extra_cas: Vec::new(), identity_pem: None, verify: true })
    }
}
