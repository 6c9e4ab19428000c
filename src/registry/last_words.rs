//! What a server says before it hangs up.
//!
//! In TLS 1.3 a client is done with the handshake before the server has looked at its certificate (RFC 8446, section 2): the alert of
//! a server that gets none, or none that it takes, crosses with the first request. It is lost where the connection is reset for what
//! came after its end, and where the HTTP library notices the end first. So the handshake is done once more and nothing is said
//! after it: then the alert is all there is to hear.

use super::certs::TlsSettings;
use super::error::Reason;
use super::pinned::{self, Believed};
use super::tls;
use reqwest::Url;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The alert of the server at `url` to a client that shows the identity of `settings`, or none; nothing where it stays silent
/// for `patience`, hangs up without a word, or cannot be reached directly.
pub(super) async fn listen(url: &Url, settings: &TlsSettings, patience: Duration) -> Option<Reason> {
    let heard = tokio::time::timeout(patience, hear(url, settings)).await.ok()??;
    tls::of_alert_in(&heard)
}

async fn hear(url: &Url, settings: &TlsSettings) -> Option<io::Error> {
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let tcp = TcpStream::connect((host.as_str(), url.port_or_known_default()?)).await.ok()?;
    // Whoever answers will do: nothing is told to it that it has not been shown before, and only its refusal is read.
    let mut config = pinned::config(Believed::Anybody, settings.identity()).ok()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    match connector.connect(ServerName::try_from(host).ok()?, tcp).await {
        Ok(mut stream) => stream.read(&mut [0]).await.err(),
        Err(refusal) => Some(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::error::Error;
    use super::super::options::Options;
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Wants certificates of an authority that has signed none.
    fn strict() -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_client_cert_verifier(clients).with_single_cert(vec![own.der().clone()], key).unwrap())
    }

    /// The first connection is cut after its first bytes: what was said on it is lost.
    #[test]
    fn a_refusal_whose_words_were_lost_is_heard_at_a_second_hearing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let config = strict();
        std::thread::spawn(move || {
            for (n, mut stream) in listener.incoming().flatten().enumerate() {
                if n == 0 {
                    let _ = stream.read(&mut [0; 100]);
                    continue;
                }
                let mut tls = ServerConnection::new(config.clone()).unwrap();
                let _ = Stream::new(&mut tls, &mut stream).read(&mut [0; 100]);
                let _ = tls.write_tls(&mut stream).and_then(|_| stream.flush());
            }
        });
        let pinged = Client::new(Options::default()).unwrap().repository(&host, "a").ping();
        assert!(matches!(pinged, Err(Error::Unreachable { reason: Reason::ClientCertificate, .. })), "{pinged:?}");
    }
}
