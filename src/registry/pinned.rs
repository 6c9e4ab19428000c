//! Servers whose certificate is one that was named, instead of one that a named authority has signed.
//!
//! `openssl req -x509` makes a certificate that is an authority by itself (`CA:TRUE`), and many registries of a house show such a one.
//! As a server's certificate it is refused by strict verifiers; OpenSSL and Go take it where it is trusted by itself. So does this
//! one: the certificate must be byte for byte one of those named, be for the name that is asked for, and be in its validity.

use crate::x509;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;

/// Which servers are believed.
#[derive(Debug)]
pub(super) enum Believed {
    /// Those that show one of these certificates, for their name and time.
    These(Vec<CertificateDer<'static>>),
    /// Every one: only to hear why it hangs up.
    Anybody,
}

impl Believed {
    /// The certificates in these PEM texts.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn these(pems: &[Vec<u8>]) -> Result<Believed, String> {
        let all = pems.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem));
        let known = all.map(|found| found.map(CertificateDer::into_owned).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
        Ok(Believed::These(known))
    }
}

/// Settings of TLS with a verifier of our own, and the client certificate and key of a PEM text.
///
/// # Errors
/// What is wrong with the certificate or key.
pub(super) fn config(believed: Believed, identity: Option<&[u8]>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { believed, provider }));
    let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity).map(|found| found.map(CertificateDer::into_owned)).collect();
    // The words of the library may quote the text, which holds a key.
    let key = PrivateKeyDer::from_pem_slice(identity).map_err(|_| "it holds no private key".to_owned())?;
    builder.with_client_auth_cert(chain.map_err(|e| e.to_string())?, key).map_err(|e| e.to_string())
}

#[derive(Debug)]
struct Pinned {
    believed: Believed,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refused = |why| Err(rustls::Error::InvalidCertificate(why));
        let Believed::These(known) = &self.believed else { return Ok(ServerCertVerified::assertion()) };
        if !known.iter().any(|known| known.as_ref() == end_entity.as_ref()) {
            return refused(CertificateError::UnknownIssuer);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        match x509::validity(end_entity) {
            None => refused(CertificateError::BadEncoding),
            Some((from, _)) if now.as_secs() < from => refused(CertificateError::NotValidYet),
            Some((_, until)) if now.as_secs() > until => refused(CertificateError::Expired),
            Some(_) => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use std::time::Duration;

    const IN_2030: u64 = 1_900_000_000;

    /// A certificate as `openssl req -x509` makes it, for `reg.lan`, of the years 2026 to 2034.
    fn own() -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["reg.lan".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2035, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn a_named_certificate_is_believed_for_its_name_and_time_and_no_other_is() {
        let (known, other) = (own(), own());
        let pinned = Pinned { believed: Believed::These(vec![known.der().clone()]), provider: Arc::new(aws_lc_rs::default_provider()) };
        let judge = |certificate: &rcgen::Certificate, name: &'static str, at: u64| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
            pinned.verify_server_cert(certificate.der(), &[], &ServerName::try_from(name).unwrap(), &[], at).map(|_| ())
        };
        assert_eq!(judge(&known, "reg.lan", IN_2030), Ok(()));
        let refused = |result: Result<(), rustls::Error>| match result {
            Err(rustls::Error::InvalidCertificate(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(judge(&other, "reg.lan", IN_2030)), CertificateError::UnknownIssuer);
        assert!(matches!(refused(judge(&known, "other.lan", IN_2030)), CertificateError::NotValidForNameContext { .. }));
        assert_eq!(refused(judge(&known, "reg.lan", 1_500_000_000)), CertificateError::NotValidYet);
        assert_eq!(refused(judge(&known, "reg.lan", 2_100_000_000)), CertificateError::Expired);
    }
}
