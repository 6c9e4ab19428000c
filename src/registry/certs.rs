//! What TLS connections to a host trust and show.

use zeroize::Zeroizing;

/// TLS settings of one host.
#[derive(Clone)]
pub struct TlsSettings {
    /// Certificates (PEM, one or more in each) trusted beside those of the system.
    pub extra_cas: Vec<Vec<u8>>,
    /// Client certificate and its key, PEM, in one text.
    pub identity_pem: Option<Zeroizing<Vec<u8>>>,
    /// False: take any certificate.
    pub verify: bool,
}

/// Why TLS settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key could not be used.
    #[error("{0}")]
    Unusable(String),
}

/// Finds the TLS settings of a host.
pub trait TlsLookup: Send + Sync {
    /// The settings for `host` (with its port, where one is written).
    fn for_host(&self, host: &str) -> Result<TlsSettings, TlsError>;
}
