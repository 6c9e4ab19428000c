//! A folder with everything a registry needs: content, users, an authority of its own and a certificate.
//!
//! Every file that is there stays; so a second run adds what is missing and changes nothing else.

use super::error::Error;
use crate::fs::{Dir, FsError};
use crate::layout::Layout;
use crate::limits;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The file that marks a prepared folder.
const SETTINGS: &str = "serve.json";
const CA_DAYS: u64 = 3650;
/// Apple's and others' limit for certificates of servers is 825 days.
const SERVER_DAYS: u64 = 824;
/// Cost of bcrypt for the password made here.
const COST: u32 = 10;
/// The user made here.
const USER: &str = "init";

/// What a prepared folder says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// 1.
    pub schema: u64,
    /// Names and addresses of the registry; the first is the one it is called by.
    pub hosts: Vec<String>,
    /// Where it listens.
    pub listen: std::net::SocketAddr,
    /// Subject of the certificates, as given.
    pub subject: String,
    /// Common name of the authority.
    pub authority: String,
    /// True where the certificate was given: there is no authority of the registry's own then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given: bool,
}

/// A certificate and its key that somebody else has made, PEM.
pub struct Pair {
    /// The certificate, and those it was signed with.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Parts of a certificate's subject (`C=..,ST=..,L=..,O=..,OU=..`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject(Vec<(DnType, String)>, String);

/// What shall be prepared.
pub struct Wanted {
    /// The folder.
    pub folder: PathBuf,
    /// Names and addresses of the registry, at least one.
    pub hosts: Vec<String>,
    /// Subject of the certificates.
    pub subject: Subject,
    /// The certificate to use; `None` to make one.
    pub pair: Option<Pair>,
    /// Where it shall listen.
    pub listen: std::net::SocketAddr,
    /// This program, for the unit of systemd.
    pub program: PathBuf,
    /// The user the service runs as.
    pub uid: u32,
    /// Seconds since 1970.
    pub now: u64,
}

/// What was done.
pub struct Prepared {
    /// What holds from now on.
    pub settings: Settings,
    /// Files made.
    pub made: Vec<PathBuf>,
    /// Files that were there and stay.
    pub kept: Vec<PathBuf>,
    /// True when the folder has another certificate than the given one, and keeps it.
    pub other_pair: bool,
    /// User and password, if the users were made now. It is kept nowhere.
    pub login: Option<(&'static str, Zeroizing<String>)>,
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Subject, String> {
        let mut parts = Vec::new();
        for pair in parts_of(text).iter().map(|pair| pair.trim()).filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or("the parts are KEY=VALUE, separated by commas; a comma in a value is written \\,")?;
            let kind = match key.trim().to_ascii_uppercase().as_str() {
                "C" if value.len() == 2 && value.bytes().all(|b| b.is_ascii_alphabetic()) => DnType::CountryName,
                "C" => return Err("C is a country of two letters".into()),
                "ST" => DnType::StateOrProvinceName,
                "L" => DnType::LocalityName,
                "O" => DnType::OrganizationName,
                "OU" => DnType::OrganizationalUnitName,
                _ => return Err("the parts of a subject are C, ST, L, O and OU".into()),
            };
            parts.push((kind, value.trim().to_owned()));
        }
        Ok(Subject(parts, text.to_owned()))
    }
}

/// The text between commas that have no backslash before them (RFC 4514, 2.4).
fn parts_of(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match (next, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(chars.next()),
            (other, Some(part)) => part.push(other),
            (_, None) => {}
        }
    }
    parts
}

impl Subject {
    /// As given.
    pub fn text(&self) -> &str {
        &self.1
    }

    fn called(&self, name: &str) -> DistinguishedName {
        let mut all = DistinguishedName::new();
        for (kind, value) in &self.0 {
            all.push(kind.clone(), value.as_str());
        }
        all.push(DnType::CommonName, name);
        all
    }
}

/// True for a folder that [`prepare`] has made.
pub fn is_prepared(folder: &Path) -> bool {
    folder.join(SETTINGS).is_file()
}

/// What a prepared folder says about itself.
///
/// # Errors
/// A file that cannot be read, or is another one.
pub fn settings(folder: &Path) -> Result<Settings, Error> {
    let dir = Dir::open(folder)?;
    let bytes = dir.read(SETTINGS, limits::CONFIG_BYTES)?;
    let bad = |why: String| Error::Settings { path: dir.join(SETTINGS), why };
    let settings: Settings = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    match settings.schema {
        1 => Ok(settings),
        other => Err(bad(format!("schema {other} is of another version of this program"))),
    }
}

struct Work {
    dir: Dir,
    made: Vec<PathBuf>,
    kept: Vec<PathBuf>,
}

/// Prepares a folder, or completes one.
///
/// # Errors
/// A folder that holds something else, and what a full disk does.
pub fn prepare(wanted: &Wanted) -> Result<Prepared, Error> {
    if let Some(pair) = &wanted.pair {
        suits(pair, &wanted.hosts)?;
    }
    let dir = Dir::create_private(&wanted.folder)?;
    if dir.stamp(SETTINGS)?.is_none() && !dir.list()?.is_empty() {
        return Err(Error::NotEmpty(wanted.folder.clone()));
    }
    let mut work = Work { dir, made: Vec::new(), kept: Vec::new() };
    let settings = work.settings(wanted)?;
    Layout::create(&wanted.folder.join("registry")).map_err(|e| Error::Store(e.into()))?;
    let tls = work.dir.make_sub("tls")?;
    let other_pair = work.tls(&tls, &settings, wanted)?;
    let login = work.users()?;
    work.unit(wanted)?;
    Ok(Prepared { settings, made: work.made, kept: work.kept, other_pair, login })
}

impl Work {
    /// True when the file has to be made; either way it is noted.
    fn needs(&mut self, dir: &Dir, name: &str) -> Result<bool, FsError> {
        let missing = dir.stamp(name)?.is_none();
        if missing { &mut self.made } else { &mut self.kept }.push(dir.join(name));
        Ok(missing)
    }

    /// The settings come first: they mark the folder as ours, so that an interrupted run can be completed.
    fn settings(&mut self, wanted: &Wanted) -> Result<Settings, Error> {
        let dir = self.dir.clone();
        if !self.needs(&dir, SETTINGS)? {
            return settings(&wanted.folder);
        }
        let first = wanted.hosts.first().map_or("localhost", String::as_str);
        let settings = Settings {
            schema: 1,
            hosts: wanted.hosts.clone(),
            listen: wanted.listen,
            subject: wanted.subject.1.clone(),
            authority: format!("sealift registry {first}").chars().take(64).collect(),
            given: wanted.pair.is_some(),
        };
        let text = serde_json::to_vec_pretty(&settings).map_err(|e| Error::Making { what: "the settings", why: e.to_string() })?;
        dir.publish(SETTINGS, &text)?;
        Ok(settings)
    }

    /// Certificate and key: the given ones, or an authority and what it signs. True when the given ones are not those that are used.
    fn tls(&mut self, tls: &Dir, settings: &Settings, wanted: &Wanted) -> Result<bool, Error> {
        let Some(pair) = wanted.pair.as_ref().filter(|_| settings.given) else {
            if settings.given {
                // Nothing is made here that would look like what was given.
                let (certificate, key) = (tls.join("server.crt"), tls.join("server.key"));
                super::Tls::read(&certificate, &key)?;
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
        let (certificate, key) = (super::tls::read(&pair.certificate)?, Zeroizing::new(super::tls::read(&pair.key)?));
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

    fn users(&mut self) -> Result<Option<(&'static str, Zeroizing<String>)>, Error> {
        use base64::Engine as _;
        let dir = self.dir.clone();
        if !self.needs(&dir, "htpasswd")? {
            return Ok(None);
        }
        let fail = |why: String| Error::Making { what: "a password", why };
        let mut random = Zeroizing::new([0u8; 18]);
        getrandom::fill(random.as_mut_slice()).map_err(|e| fail(e.to_string()))?;
        let password = Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random.as_slice()));
        let hash = bcrypt::hash(password.as_bytes(), COST).map_err(|e| fail(e.to_string()))?;
        dir.publish_mode("htpasswd", format!("{USER}:{hash}\n").as_bytes(), 0o600)?;
        Ok(Some((USER, password)))
    }

    fn unit(&mut self, wanted: &Wanted) -> Result<(), Error> {
        const UNIT: &str = "sealift-serve.service";
        let dir = self.dir.clone();
        if self.needs(&dir, UNIT)? {
            let (program, folder, uid) = (quoted(&wanted.program), quoted(&wanted.folder), wanted.uid);
            let text = format!(
                "[Unit]\nDescription=Container registry (sealift)\nAfter=network-online.target\nWants=network-online.target\n\n\
                 [Service]\nExecStart={program} serve {folder}\nUser={uid}\nRestart=on-failure\nTimeoutStopSec=20\nLimitNOFILE=65536\n\
                 NoNewPrivileges=yes\nPrivateTmp=yes\nProtectSystem=strict\nReadWritePaths={folder}\n\n\
                 [Install]\nWantedBy=multi-user.target\n"
            );
            dir.publish(UNIT, text.as_bytes())?;
        }
        Ok(())
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
fn suits(pair: &Pair, hosts: &[String]) -> Result<(), Error> {
    super::Tls::read(&pair.certificate, &pair.key)?;
    let bytes = super::tls::read(&pair.certificate)?;
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

/// A word of a systemd unit: specifiers and quotes mean themselves.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if text.contains([' ', '\t', '"', '\'']) { format!("\"{text}\"") } else { text }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(folder: &Path) -> Wanted {
        Wanted {
            folder: folder.to_owned(),
            hosts: vec!["mirror.lan".into(), "10.0.0.7".into()],
            subject: "C=DE,O=Example".parse().unwrap(),
            pair: None,
            listen: "0.0.0.0:8443".parse().unwrap(),
            program: "/usr/local/bin/sealift".into(),
            uid: 1000,
            now: 1_795_000_000,
        }
    }

    #[test]
    fn a_second_run_changes_nothing_and_completes_what_is_missing() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("data");
        let first = prepare(&wanted(&folder)).unwrap();
        assert!(first.kept.is_empty() && first.login.is_some() && is_prepared(&folder));
        for name in ["tls/ca.key", "tls/server.key", "htpasswd"] {
            assert_eq!(std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        let certificate = std::fs::read(folder.join("tls/server.crt")).unwrap();
        let second = prepare(&wanted(&folder)).unwrap();
        assert!(second.made.is_empty() && second.login.is_none(), "{:?}", second.made);
        assert_eq!(std::fs::read(folder.join("tls/server.crt")).unwrap(), certificate);
        std::fs::remove_file(folder.join("tls/server.crt")).unwrap();
        assert_eq!(prepare(&wanted(&folder)).unwrap().made, [folder.join("tls/server.crt")]);
        let tls = super::super::Tls::read(&folder.join("tls/server.crt"), &folder.join("tls/server.key")).unwrap();
        assert_eq!(tls.not_after, Some((1_795_000_000 / 86_400 + SERVER_DAYS) * 86_400));
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(prepare(&wanted(temp.path())), Err(Error::NotEmpty(_))));
    }

    #[test]
    fn the_key_of_the_authority_may_be_away_and_no_other_takes_its_place() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("data");
        prepare(&wanted(&folder)).unwrap();
        std::fs::rename(folder.join("tls/ca.key"), temp.path().join("safe")).unwrap();
        assert!(prepare(&wanted(&folder)).unwrap().made.is_empty(), "nothing is to be signed");
        assert!(!folder.join("tls/ca.key").exists());
        std::fs::remove_file(folder.join("tls/server.crt")).unwrap();
        assert!(matches!(prepare(&wanted(&folder)), Err(Error::KeyAway { .. })));
        std::fs::rename(temp.path().join("safe"), folder.join("tls/ca.key")).unwrap();
        assert_eq!(prepare(&wanted(&folder)).unwrap().made, [folder.join("tls/server.crt")]);
        std::fs::remove_file(folder.join("tls/server.key")).unwrap();
        assert!(matches!(prepare(&wanted(&folder)), Err(Error::KeyAway { .. })));
        assert!(!folder.join("tls/server.key").exists());
    }

    /// A certificate for these names and its key, as files.
    fn pair(folder: &Path, name: &str, hosts: &[&str]) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        let pair = Pair { certificate: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&pair.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    #[test]
    fn a_given_certificate_is_the_one_that_is_used() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("data");
        let given = |name: &str, hosts: &[&str]| Wanted { pair: Some(pair(temp.path(), name, hosts)), ..wanted(&folder) };
        let first = prepare(&given("one", &["mirror.lan", "10.0.0.7"])).unwrap();
        let bytes = |name: &str| std::fs::read(name).unwrap();
        let at = |path: &str| folder.join(path).to_str().unwrap().to_owned();
        let source = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(bytes(&at("tls/server.crt")), bytes(&source("one.crt")));
        assert_eq!(bytes(&at("tls/server.key")), bytes(&source("one.key")));
        assert_eq!(std::fs::metadata(at("tls/server.key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.join("tls/ca.crt").exists() && !first.other_pair && first.settings.given);

        // Without the pair, later: nothing of our own is put beside it.
        let again = prepare(&wanted(&folder)).unwrap();
        assert!(again.made.is_empty() && !folder.join("tls/ca.crt").exists(), "{:?}", again.made);
        // Another pair does not replace it unseen.
        assert!(prepare(&given("two", &["mirror.lan", "10.0.0.7"])).unwrap().other_pair);
        assert_eq!(bytes(&at("tls/server.crt")), bytes(&source("one.crt")));
        // What was given and is gone is not made up.
        std::fs::remove_file(at("tls/server.crt")).unwrap();
        assert!(prepare(&wanted(&folder)).is_err());
    }

    #[test]
    fn a_given_certificate_that_does_not_suit_is_refused_before_anything_is_made() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("data");
        let other = pair(temp.path(), "other", &["mirror.lan"]);
        let error = prepare(&Wanted { pair: Some(other), ..wanted(&folder) }).map(|_| ()).unwrap_err();
        assert!(error.to_string().ends_with("it is not for 10.0.0.7"), "{error}");
        let mixed = Pair { key: pair(temp.path(), "x", &["a"]).key, ..pair(temp.path(), "y", &["mirror.lan", "10.0.0.7"]) };
        assert!(matches!(prepare(&Wanted { pair: Some(mixed), ..wanted(&folder) }), Err(Error::Certificate { .. })));
        assert!(!folder.exists());
    }

    #[test]
    fn subjects() {
        let organisation: Subject = "O=Bank\\, Inc,C=DE".parse().unwrap();
        assert_eq!(organisation.0, [(DnType::OrganizationName, "Bank, Inc".to_owned()), (DnType::CountryName, "DE".to_owned())]);
        assert!("C=DE, ST=x,L=y,O=z,OU=w".parse::<Subject>().is_ok() && "".parse::<Subject>().is_ok());
        for bad in ["C=Germany", "CN=x", "O"] {
            assert!(bad.parse::<Subject>().is_err(), "{bad}");
        }
    }
}
