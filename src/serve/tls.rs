//! The certificate a registry shows, and how long it holds.

use super::error::Error;
use crate::fs::File;
use crate::limits;
use crate::x509;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// A certificate with its key, ready for connections.
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since 1970; `None` where it could not be read.
    pub not_after: Option<u64>,
}

impl Tls {
    /// Reads certificate (with what it was signed by, in order) and key, PEM. TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// Files that cannot be read, are no certificate or key, or do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Tls, Error> {
        let bad = |path: &Path, why: String| Error::Certificate { path: path.to_owned(), why };
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
        let chain = chain.map_err(|e| bad(certificate, e.to_string()))?;
        let not_after = chain.first().and_then(|first| x509::validity(first)).map(|(_, until)| until);
        if chain.is_empty() {
            return Err(bad(certificate, "it holds no certificate".into()));
        }
        // The words of the library may quote the file, which is a key.
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| bad(key, "it holds no private key".into()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| bad(certificate, e.to_string()))?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, private).map_err(|e| bad(certificate, e.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), not_after })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(File::open_path(path)?.read_whole(limits::KEY_BYTES * 4)?)
}
