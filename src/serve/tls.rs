//! The certificate a registry shows, and how long it holds.

use super::error::Error;
use crate::fs::{File, FsError};
use crate::limits;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Read;
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
        let not_after = chain.first().and_then(|first| not_after(first));
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

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open_path(path)?;
    file.take(limits::KEY_BYTES * 4).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", path))?;
    Ok(bytes)
}

/// When a certificate ends, in seconds since 1970 (RFC 5280, 4.1.2.5); `None` where that cannot be read.
pub fn not_after(der: &[u8]) -> Option<u64> {
    let (certificate, _) = value(der, 0x30)?;
    let (mut fields, _) = value(certificate, 0x30)?;
    if let Some((_, rest)) = value(fields, 0xa0) {
        fields = rest;
    }
    // Serial number, algorithm, issuer.
    for tag in [0x02, 0x30, 0x30] {
        fields = value(fields, tag)?.1;
    }
    let (validity, _) = value(fields, 0x30)?;
    let (_, rest) = value(validity, 0x17).or_else(|| value(validity, 0x18))?;
    match value(rest, 0x17) {
        // Two digits: 50 to 99 are of the last century.
        Some((short, _)) => {
            let century = if short.first()? >= &b'5' { "19" } else { "20" };
            moment(&format!("{century}{}", std::str::from_utf8(short).ok()?))
        }
        None => moment(std::str::from_utf8(value(rest, 0x18)?.0).ok()?),
    }
}

/// The content of a DER value of this tag, and what follows it (X.690, 8.1).
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| found == tag)
}

/// `YYYYMMDDHHMMSSZ`.
fn moment(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    let part = |from: usize, to: usize| digits.get(from..to);
    let (date, time) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    let text = format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, time.0, time.1, time.2);
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for (year, seconds) in [(2030, 1_893_456_000), (2049, 2_493_072_000), (2050, 2_524_608_000), (2200, 7_258_118_400)] {
            let mut params = rcgen::CertificateParams::new(vec!["x.lan".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(not_after(certificate.der()), Some(seconds), "{year}");
            for cut in 0..certificate.der().len() {
                let _ = not_after(&certificate.der()[..cut]);
            }
        }
        assert_eq!(not_after(b"0\x82"), None);
    }
}
