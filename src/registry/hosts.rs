//! Settings of single hosts (`hosts.toml`, sealift-hosts(5)): how many transfers, how large the pieces, which headers.

use crate::fs::{FsError, Trouble, read_user_secret};
use crate::image_set::parse_bytes;
use crate::text::shown;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most transfers at a time; what `--parallel` allows as well.
const TRANSFERS: u64 = 64;
/// Smallest piece: below it an upload is nothing but requests.
const CHUNK_MIN: u64 = 16 << 10;
/// Largest piece: each upload holds one in memory.
const CHUNK_MAX: u64 = 64 << 20;

/// Headers that are the client's own affair: a setting of them would break requests, or carry a login past the credentials file.
const OWN: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "host",
    "connection",
    "transfer-encoding",
    "te",
    "upgrade",
    "content-length",
    "content-type",
    "content-range",
    "range",
    "accept",
];

/// What is set for one host. Nothing set: the general settings hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// Blobs read at the same time.
    pub downloads: Option<usize>,
    /// Blobs written at the same time.
    pub uploads: Option<usize>,
    /// Blobs above this size go in pieces of it, in bytes.
    pub chunk: Option<u64>,
    /// Sent with every request to the host itself, never elsewhere. Prints nothing of the values.
    pub(super) headers: HeaderMap,
}

/// The settings of all hosts that have some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostTable {
    hosts: BTreeMap<String, HostSettings>,
    exposed: bool,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// It is not as its format demands.
    #[error("{}: line {line}: {why}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        why: String,
    },
    /// A value that cannot hold.
    #[error("{}: {:?}: {fault}", .path.display(), shown(.host).to_string())]
    Value {
        /// The file.
        path: PathBuf,
        /// The table.
        host: String,
        /// What is wrong with it.
        fault: SettingFault,
    },
}

/// What is wrong with a setting. Never quotes the value of a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingFault {
    /// Not written `HOST:KEY=VALUE`.
    #[error("a setting is written HOST:KEY=VALUE")]
    Form,
    /// Not a host.
    #[error("a host is HOST or HOST:PORT, as in references")]
    Host,
    /// No such key.
    #[error("there is no {:?}; there are downloads, uploads, chunk and header.NAME", shown(.0).to_string())]
    Key(String),
    /// Not a number of transfers.
    #[error("{0} is a number from 1 to 64")]
    Number(&'static str),
    /// Not a size of a piece.
    #[error("chunk is a size from 16KiB to 64MiB")]
    Chunk,
    /// A header that cannot be sent, or not be set.
    #[error("the header {:?} cannot be set", shown(.0).to_string())]
    Header(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    downloads: Option<u64>,
    uploads: Option<u64>,
    chunk: Option<Size>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

impl HostTable {
    /// Reads the file; that there is none is no error.
    ///
    /// # Errors
    /// [`HostsError`].
    pub fn load(path: &Path) -> Result<HostTable, HostsError> {
        match read_user_secret(path) {
            Ok((bytes, others)) => {
                let mut table = HostTable::parse(path, &String::from_utf8_lossy(&bytes))?;
                table.exposed = others && table.hosts.values().any(|settings| !settings.headers.is_empty());
                Ok(table)
            }
            Err(e) if e.trouble() == Trouble::Absent => Ok(HostTable::default()),
            Err(e) => Err(e.into()),
        }
    }

    /// True when the file it was read from holds headers, which are often secrets, and others than its owner may read it.
    pub fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// Reads the text of a file. A key that is not known is refused: nobody else reads this file.
    ///
    /// # Errors
    /// [`HostsError::Syntax`] and [`HostsError::Value`].
    pub fn parse(path: &Path, text: &str) -> Result<HostTable, HostsError> {
        let tables: BTreeMap<String, Table> = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let why = shown(&e.message().chars().take(300).collect::<String>()).to_string();
            HostsError::Syntax { path: path.to_owned(), line: before.matches('\n').count() + 1, why }
        })?;
        let mut hosts = HostTable::default();
        for (host, table) in tables {
            hosts.table(&host, table).map_err(|fault| HostsError::Value { path: path.to_owned(), host: host.clone(), fault })?;
        }
        Ok(hosts)
    }

    fn table(&mut self, host: &str, table: Table) -> Result<(), SettingFault> {
        let settings = self.of(host)?;
        settings.downloads = table.downloads.map(|n| transfers(n, "downloads")).transpose()?;
        settings.uploads = table.uploads.map(|n| transfers(n, "uploads")).transpose()?;
        settings.chunk = match table.chunk {
            Some(Size::Bytes(bytes)) => Some(chunk(bytes)?),
            Some(Size::Text(text)) => Some(chunk_of(&text)?),
            None => None,
        };
        table.headers.iter().try_for_each(|(name, value)| settings.header(name, value))
    }

    /// Takes `HOST:KEY=VALUE` over what the file says.
    ///
    /// # Errors
    /// [`SettingFault`].
    pub fn set(&mut self, text: &str) -> Result<(), SettingFault> {
        let (name, value) = text.split_once('=').ok_or(SettingFault::Form)?;
        let (host, key) = name.rsplit_once(':').ok_or(SettingFault::Form)?;
        let number = |key| value.parse().map_err(|_| SettingFault::Number(key)).and_then(|n| transfers(n, key));
        let settings = self.of(host)?;
        match key {
            "downloads" => settings.downloads = Some(number("downloads")?),
            "uploads" => settings.uploads = Some(number("uploads")?),
            "chunk" => settings.chunk = Some(chunk_of(value)?),
            other => {
                let header = other.strip_prefix("header.").ok_or_else(|| SettingFault::Key(other.to_owned()))?;
                settings.header(header, value)?;
            }
        }
        Ok(())
    }

    /// Sets downloads and uploads of every host that has some of its own: what `--parallel` says holds for all.
    pub fn parallel(&mut self, transfers: usize) {
        for settings in self.hosts.values_mut() {
            (settings.downloads, settings.uploads) = (Some(transfers), Some(transfers));
        }
    }

    fn of(&mut self, host: &str) -> Result<&mut HostSettings, SettingFault> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        match !host.is_empty() && host.bytes().all(fine) {
            true => Ok(self.hosts.entry(host.to_ascii_lowercase()).or_default()),
            false => Err(SettingFault::Host),
        }
    }

    /// The settings of a host as references write it.
    pub fn for_host(&self, host: &str) -> HostSettings {
        self.hosts.get(&host.to_ascii_lowercase()).cloned().unwrap_or_default()
    }
}

impl HostSettings {
    fn header(&mut self, name: &str, value: &str) -> Result<(), SettingFault> {
        let bad = || SettingFault::Header(name.to_owned());
        let header: HeaderName = name.parse().map_err(|_| bad())?;
        if OWN.contains(&header.as_str()) {
            return Err(bad());
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(())
    }
}

fn transfers(number: u64, key: &'static str) -> Result<usize, SettingFault> {
    match usize::try_from(number) {
        Ok(n) if (1..=TRANSFERS).contains(&number) => Ok(n),
        _ => Err(SettingFault::Number(key)),
    }
}

fn chunk(bytes: u64) -> Result<u64, SettingFault> {
    if (CHUNK_MIN..=CHUNK_MAX).contains(&bytes) { Ok(bytes) } else { Err(SettingFault::Chunk) }
}

fn chunk_of(text: &str) -> Result<u64, SettingFault> {
    let bytes = parse_bytes(text).ok().and_then(|bytes| u64::try_from(bytes).ok());
    chunk(bytes.ok_or(SettingFault::Chunk)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HostTable, HostsError> {
        HostTable::parse(Path::new("hosts.toml"), text)
    }

    #[test]
    fn a_host_has_what_the_file_and_then_the_options_say() {
        let mut table = read(
            "['r.lan:5000']\nuploads = 2\nchunk = '4MiB'\n['r.lan:5000'.headers]\nX-Tenant = 'blue'\n[\"q.lan\"]\ndownloads = 9\nchunk = 65536",
        )
        .unwrap();
        let settings = table.for_host("R.lan:5000");
        assert_eq!((settings.downloads, settings.uploads, settings.chunk), (None, Some(2), Some(4 << 20)));
        assert_eq!(settings.headers.get("x-tenant").unwrap(), "blue");
        assert!(!format!("{settings:?}").contains("blue"));
        assert_eq!(table.for_host("q.lan").chunk, Some(65536));
        assert_eq!(table.for_host("r.lan"), HostSettings::default());
        table.set("r.lan:5000:uploads=7").unwrap();
        table.set("q.lan:header.x-a=b=c:d").unwrap();
        assert_eq!(table.for_host("r.lan:5000").uploads, Some(7));
        assert_eq!(table.for_host("q.lan").headers.get("x-a").unwrap(), "b=c:d");
        table.parallel(3);
        assert_eq!((table.for_host("q.lan").downloads, table.for_host("q.lan").uploads), (Some(3), Some(3)));
    }

    #[test]
    fn headers_that_others_can_read_are_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.toml");
        let headers = "['r.lan'.headers]\nX-Token = 's3cret'\n";
        for (text, mode, exposed) in
            [(headers, 0o600, false), (headers, 0o640, true), (headers, 0o604, true), ("['r.lan']\nuploads = 2\n", 0o644, false)]
        {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(HostTable::load(&path).unwrap().is_exposed(), exposed, "{mode:o} {text}");
        }
    }

    #[test]
    fn what_cannot_hold_is_refused_without_quoting_headers() {
        for text in ["x", "r.lan", "r.lan:uploads", "uploads=2", "r.lan:colour=red", "r lan:uploads=2", ":uploads=2"] {
            assert!(HostTable::default().set(text).is_err(), "{text}");
        }
        for text in ["r:uploads=0", "r:uploads=65", "r:downloads=x", "r:chunk=1KiB", "r:chunk=65MiB", "r:chunk=x"] {
            assert!(HostTable::default().set(text).is_err(), "{text}");
        }
        for name in OWN.into_iter().chain(["", "a b"]) {
            let fault = HostTable::default().set(&format!("r:header.{name}=s3cret")).unwrap_err();
            assert!(matches!(fault, SettingFault::Header(_)), "{name}");
            assert!(!fault.to_string().contains("s3cret"));
        }
        assert!(matches!(read("\n[r]\ncolour = 1").unwrap_err(), HostsError::Syntax { line: 3 | 2, .. }));
        assert!(matches!(read("[r]\nuploads = 99").unwrap_err(), HostsError::Value { fault: SettingFault::Number("uploads"), .. }));
        assert!(read("[r.headers]\nAuthorization = 'Basic x'").is_err());
        assert!(read("[").is_err());
        assert_eq!(HostTable::load(Path::new("/nonexistent/hosts.toml")).unwrap(), HostTable::default());
    }
}
