//! The certificate of a prepared folder: a given one, or one of an authority of the folder's own.

use super::subject::Subject;
use super::{Pair, Settings, Wanted, Work};
use crate::fs::Dir;
use crate::limits;
use crate::serve::Tls;
use crate::serve::error::Error;
use crate::serve::tls::read;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use zeroize::Zeroizing;

const CA_DAYS: u64 = 3650;
/// Apple's and others' limit for certificates of servers is 825 days.
pub(super) const SERVER_DAYS: u64 = 824;

impl Work {
    /// Certificate and key: the given ones, or an authority and what it signs. True when the given ones are not those that are used.
    pub(super) fn tls(&mut self, tls: &Dir, settings: &Settings, wanted: &Wanted) -> Result<bool, Error> {
        let Some(pair) = wanted.pair.as_ref().filter(|_| settings.given) else {
            if settings.given {
                // Nothing is made here that would look like what was given.
                let (certificate, key) = (tls.join("server.crt"), tls.join("server.key"));
                Tls::read(&certificate, &key)?;
                self.kept.extend([key, certificate]);
                return Ok(false);
            }
            // A new key beside an old certificate would not belong to it.
            needs_key(tls, "server")?;
            if tls.stamp("ca.key")?.is_none() && tls.stamp("server.crt")?.is_some() {
                // The authority's key may be kept elsewhere.
                self.kept.extend(["ca.crt", "server.key", "server.crt"].map(|name| tls.join(name)));
                return Ok(wanted.pair.is_some());
            }
            needs_key(tls, "ca")?;
            let issuer = self.authority(tls, settings, wanted)?;
            self.certificate(tls, settings, wanted, &issuer)?;
            return Ok(wanted.pair.is_some());
        };
        let (certificate, key) = (read(&pair.certificate)?, Zeroizing::new(read(&pair.key)?));
        if self.needs(tls, "server.key")? {
            tls.publish_mode("server.key", &key, 0o600)?;
        }
        if self.needs(tls, "server.crt")? {
            tls.publish("server.crt", &certificate)?;
        }
        let used = tls.read("server.crt", limits::KEY_BYTES * 4)?;
        Ok(used != certificate)
    }

    fn authority(&mut self, tls: &Dir, settings: &Settings, wanted: &Wanted) -> Result<Issuer<'static, KeyPair>, Error> {
        let fail = |e: rcgen::Error| Error::Making { what: "the authority", why: e.to_string() };
        let subject: Subject = settings.subject.parse().map_err(|why| Error::Making { what: "the authority", why })?;
        let mut params = CertificateParams::new(Vec::new()).map_err(fail)?;
        params.distinguished_name = subject.called(&settings.authority);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        holds_for(&mut params, wanted.now, CA_DAYS);
        let key = key(tls, "ca.key", self)?;
        if self.needs(tls, "ca.crt")? {
            tls.publish("ca.crt", params.self_signed(&key).map_err(fail)?.pem().as_bytes())?;
        }
        Ok(Issuer::new(params, key))
    }

    fn certificate(&mut self, tls: &Dir, settings: &Settings, wanted: &Wanted, issuer: &Issuer<'static, KeyPair>) -> Result<(), Error> {
        let fail = |e: rcgen::Error| Error::Making { what: "the certificate", why: e.to_string() };
        let key = key(tls, "server.key", self)?;
        if !self.needs(tls, "server.crt")? {
            return Ok(());
        }
        let subject: Subject = settings.subject.parse().map_err(|why| Error::Making { what: "the certificate", why })?;
        let mut params = CertificateParams::new(settings.hosts.clone()).map_err(fail)?;
        let name: String = settings.hosts.first().map_or("localhost", String::as_str).chars().take(64).collect();
        params.distinguished_name = subject.called(&name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        holds_for(&mut params, wanted.now, SERVER_DAYS);
        let certificate = params.signed_by(&key, issuer).map_err(fail)?;
        Ok(tls.publish("server.crt", certificate.pem().as_bytes())?)
    }
}

/// Refuses a certificate whose key is not there.
fn needs_key(tls: &Dir, name: &str) -> Result<(), Error> {
    let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
    match tls.stamp(&certificate)?.is_some() && tls.stamp(&key)?.is_none() {
        true => Err(Error::KeyAway { key: tls.join(&key), certificate: tls.join(&certificate) }),
        false => Ok(()),
    }
}

/// A given certificate has its key, and is for every host.
pub(super) fn suits(pair: &Pair, hosts: &[String]) -> Result<(), Error> {
    Tls::read(&pair.certificate, &pair.key)?;
    let bytes = read(&pair.certificate)?;
    let bad = |why: String| Error::Certificate { path: pair.certificate.clone(), why };
    let first = CertificateDer::from_pem_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let parsed = ParsedCertificate::try_from(&first).map_err(|e| bad(e.to_string()))?;
    for host in hosts.iter().filter(|host| !host.starts_with("*.")) {
        let name = ServerName::try_from(host.as_str()).map_err(|e| bad(e.to_string()))?;
        rustls::client::verify_server_name(&parsed, &name).map_err(|_| bad(format!("it is not for {host}")))?;
    }
    Ok(())
}

/// A key that is kept, or made and written for its owner alone.
fn key(tls: &Dir, name: &str, work: &mut Work) -> Result<KeyPair, Error> {
    let fail = |e: rcgen::Error| Error::Making { what: "a key", why: e.to_string() };
    if work.needs(tls, name)? {
        let key = KeyPair::generate().map_err(fail)?;
        tls.publish_mode(name, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
        return Ok(key);
    }
    let bytes = Zeroizing::new(tls.read(name, limits::KEY_BYTES)?);
    let bad = || Error::Certificate { path: tls.join(name), why: "it holds no private key".into() };
    KeyPair::from_pem(std::str::from_utf8(&bytes).map_err(|_| bad())?).map_err(|_| bad())
}

/// From the midnight (UTC) that was last, by any clock that is nearly right, for so many days.
fn holds_for(params: &mut CertificateParams, now: u64, days: u64) {
    let day = |days: u64| {
        let at = i64::try_from(now.saturating_add(days * 86_400)).unwrap_or(0);
        let date = jiff::Timestamp::from_second(at).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
        let number = |n: i8| u8::try_from(n).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), number(date.month()), number(date.day()))
    };
    params.not_before = day(0);
    params.not_after = day(days);
}
