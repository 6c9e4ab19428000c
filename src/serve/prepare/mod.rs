//! A folder with everything a registry needs: content, users, an authority of its own and a certificate.
//!
//! Every file that is there stays; so a second run adds what is missing and changes nothing else.

mod certificates;
mod subject;
#[cfg(test)]
mod tests;

pub use subject::Subject;

use super::error::Error;
use crate::fs::{Dir, FsError};
use crate::layout::Layout;
use crate::limits;
use certificates::suits;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file that marks a prepared folder.
const SETTINGS: &str = "serve.json";
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
            subject: wanted.subject.text().to_owned(),
            authority: format!("sealift registry {first}").chars().take(64).collect(),
            given: wanted.pair.is_some(),
        };
        let text = serde_json::to_vec_pretty(&settings).map_err(|e| Error::Making { what: "the settings", why: e.to_string() })?;
        dir.publish(SETTINGS, &text)?;
        Ok(settings)
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
            dir.publish(UNIT, unit(wanted).as_bytes())?;
        }
        Ok(())
    }
}

/// The unit of systemd.
fn unit(wanted: &Wanted) -> String {
    let (program, folder, uid) = (quoted(&wanted.program), quoted(&wanted.folder), wanted.uid);
    // A folder of temporary files of its own would hide what lies in that of the host.
    let below = |path: &Path| path.starts_with("/tmp") || path.starts_with("/var/tmp");
    let tmp = if below(&wanted.program) || below(&wanted.folder) { "" } else { "PrivateTmp=yes\n" };
    format!(
        "[Unit]\nDescription=Container registry (sealift)\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nExecStart={program} serve {folder}\nUser={uid}\nRestart=on-failure\nTimeoutStopSec=20\nLimitNOFILE=65536\n\
         NoNewPrivileges=yes\n{tmp}ProtectSystem=strict\nReadWritePaths={folder}\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// A word of a systemd unit: specifiers and quotes mean themselves.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if text.contains([' ', '\t', '"', '\'']) { format!("\"{text}\"") } else { text }
}
