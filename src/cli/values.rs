//! Words of the command line that mean more than their letters.

use crate::error::{Code, Error};
use crate::image_set::Source;
use crate::lookaside::Store;
use crate::oci::is_repository;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Reads the path of a folder or file; `file://`, which oc-mirror wants in front, may be there.
pub fn local() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(|text| without_scheme(&text))
}

/// The path without `file://`.
pub fn without_scheme(text: &OsStr) -> PathBuf {
    match text.to_str().and_then(|text| text.strip_prefix("file://")) {
        Some(path) if !path.is_empty() => path.into(),
        _ => text.into(),
    }
}

/// Reads a size in bytes: `4MB` = 4 000 000, `4MiB` = 4 194 304, a bare number is bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let bytes = crate::image_set::parse_bytes(text).map_err(|e| e.to_string())?;
    u64::try_from(bytes).map_err(|_| "that is more bytes than can be counted".into())
}

/// Reads the size of a volume. Exactly 2 GiB and 4 GiB mean one byte less: what file systems and scanners with that limit take.
pub fn volume_size(text: &str) -> Result<u64, String> {
    crate::image_set::parse_size(text).map_err(|e| e.to_string())
}

/// Reads the name of a stream (archive page, "Files of a set"): 1 to 32 of `a-z 0-9 -`.
pub fn stream(text: &str) -> Result<String, String> {
    match crate::format::is_stream(text) {
        true => Ok(text.to_owned()),
        false => Err("a stream is 1 to 32 of a-z, 0-9 and -, beginning and ending with a letter or digit".into()),
    }
}

/// Reads the name a key is stored under: it becomes a file name.
pub fn key_name(text: &str) -> Result<String, String> {
    match crate::text::is_plain_name(text) && !text.starts_with(['.', '-']) && text.len() <= 64 {
        true => Ok(text.to_owned()),
        false => Err("the name of a key is a plain file name of at most 64 characters, without slash".into()),
    }
}

/// Reads `key=value`.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written key=value".into()),
    }
}

/// Checks a `--host-setting`.
pub fn host_setting(text: &str) -> Result<String, String> {
    crate::registry::hosts::HostTable::default().set(text).map(|()| text.to_owned()).map_err(|fault| fault.to_string())
}

/// A lookaside with the images it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookaside {
    /// Host, namespace, repository or image; `None`: all.
    pub scope: Option<String>,
    /// Where the signatures lie.
    pub store: Store,
}

/// Reads `[SCOPE=]URL|DIR`.
pub fn lookaside(text: &str) -> Result<Lookaside, String> {
    // What stands before an equals sign of an address or a path is no scope.
    let is_scope = |scope: &str| !scope.contains("://") && !scope.starts_with(['/', '.']);
    let (scope, store) = match text.split_once('=').filter(|(scope, _)| is_scope(scope)) {
        Some((scope, store)) => (Some(scope), store),
        None => (None, text),
    };
    if scope.is_some_and(str::is_empty) || store.is_empty() {
        return Err("it is [SCOPE=]URL or [SCOPE=]DIR, like quay.io/team=https://signatures.example.com".into());
    }
    match Store::parse(store) {
        Store::Folder(path) if store.starts_with("file://") && !path.is_absolute() => {
            Err("a file address has three slashes, and %25 where a path has %: file:///srv/signatures".into())
        }
        Store::Folder(path) if !store.starts_with("file://") && path.to_string_lossy().contains("://") => {
            Err("only http, https and file addresses can be asked".into())
        }
        store => Ok(Lookaside { scope: scope.map(str::to_owned), store }),
    }
}

/// Where a signing key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// In the key store, under this name.
    Stored(String),
    /// In this file.
    File(PathBuf),
    /// In the ssh-agent: a fingerprint (`SHA256:...`) or the path of the public key.
    Agent(String),
}

/// Reads `--key`: with a `/` a path, `agent:` in front the agent, else a stored name.
pub fn key(text: &str) -> Result<KeyChoice, String> {
    match text.strip_prefix("agent:") {
        Some("") => Err("agent: is followed by a fingerprint (SHA256:...) or the path of a public key".into()),
        Some(wanted) => Ok(KeyChoice::Agent(wanted.to_owned())),
        None if text.contains('/') => Ok(KeyChoice::File(text.into())),
        None => key_name(text).map(KeyChoice::Stored),
    }
}

/// Reads a name or address a registry is reached by, as certificates hold it: a name of DNS (RFC 1123, 2.1; `*.` in front for every
/// name below), IPv4, or IPv6 with or without brackets.
pub fn hostname(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<std::net::IpAddr>() {
        return Ok(address.to_string());
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("a name or an address without a port: {name}; the port is that of --listen"));
    }
    if !text.is_ascii() {
        return Err("names with other letters than a-z are given as certificates hold them (xn--...)".into());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    match text.len() <= 253 && text.strip_prefix("*.").unwrap_or(text).split('.').all(label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a name such as mirror.lan or an address such as 10.0.0.7, without scheme, port and path".into()),
    }
}

/// Where images go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Below a prefix (may be empty) of a registry.
    Registry {
        /// `host` or `host:port`.
        host: String,
        /// Repository path in front of every name, without slashes at its ends.
        prefix: String,
    },
    /// Into an OCI image layout.
    Layout(PathBuf),
}

impl Destination {
    /// How receipts and ledgers name it: `host[:port][/prefix]` or `oci:FOLDER`.
    pub fn name(&self) -> String {
        match self {
            Destination::Registry { host, prefix } if prefix.is_empty() => host.clone(),
            Destination::Registry { host, prefix } => format!("{host}/{prefix}"),
            Destination::Layout(path) => format!("oci:{}", path.display()),
        }
    }
}

/// Reads `--to`: `host[:port][/prefix]`, or `oci:FOLDER`.
pub fn destination(text: &str) -> Result<Destination, String> {
    if let Some(folder) = text.strip_prefix("oci:") {
        return match folder {
            "" => Err("oci: is followed by a folder".into()),
            folder => Ok(Destination::Layout(folder.into())),
        };
    }
    let text = text.strip_prefix("docker://").unwrap_or(text).trim_end_matches('/');
    let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
    let host_like = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || text.contains("://") || !host.bytes().all(host_like) {
        return Err("a target is host[:port][/prefix] or oci:FOLDER, without user name and without a scheme such as https".into());
    }
    if !prefix.is_empty() && !is_repository(prefix) {
        return Err("the prefix must be lower-case words of a-z 0-9 joined by . _ - and /".into());
    }
    // One name for one registry: receipts and the ledger go by it.
    Ok(Destination::Registry { host: host.to_ascii_lowercase(), prefix: prefix.to_owned() })
}

/// One thing the user wants carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// An ImageSetConfiguration file.
    ImageSet(PathBuf),
    /// A plan saved by `plan -o`.
    Plan(PathBuf),
    /// An image in a registry or a layout.
    Image(Source),
    /// An OpenShift release, `release:VERSION` or `release:REFERENCE`; what follows the colon.
    Release(String),
}

/// Reads a source as a person names it: a folder that is there is what is meant.
///
/// # Errors
/// `BAD_REFERENCE` for what names none.
pub fn source(text: &str) -> Result<Source, Error> {
    Ok(Source::parse(text)?.settled(&is_folder))
}

/// Whether there is such a folder; what cannot be looked at is none.
pub fn is_folder(dir: &str) -> bool {
    crate::fs::is_folder(Path::new(dir)).unwrap_or(false)
}

impl Wish {
    /// Tells the kinds apart: `*.json` is a saved plan, an existing file or `*.yaml`, `*.yml` an ImageSet, `oci:FOLDER[:TAG]` a
    /// layout, anything else a reference.
    pub fn sort(text: &OsStr) -> Result<Wish, Error> {
        let local = without_scheme(text);
        let text = text.to_str().and_then(|text| text.strip_prefix("docker://")).map_or(text, OsStr::new);
        let path = local.as_path();
        let release = text.to_str().is_some_and(|text| text.starts_with("release:"));
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or("").to_ascii_lowercase();
        if ending == "json" && !release {
            return Ok(Wish::Plan(path.to_owned()));
        }
        if !release && (matches!(ending.as_str(), "yaml" | "yml") || path.is_file()) {
            return Ok(Wish::ImageSet(path.to_owned()));
        }
        let Some(text) = text.to_str() else {
            return Err(Error::new(Code::BadReference, format!("{} is neither a file nor a reference", path.display())));
        };
        Ok(match text.strip_prefix("release:") {
            Some(release) => Wish::Release(release.to_owned()),
            None => Wish::Image(source(text)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        assert_eq!(size("4MB"), Ok(4_000_000));
        assert_eq!(size("4MiB"), Ok(4 << 20));
        assert_eq!(volume_size("2GiB"), Ok((1 << 31) - 1));
        assert_eq!(volume_size("4GiB"), Ok((1 << 32) - 1));
        assert_eq!(volume_size("4294967295"), Ok(u64::from(u32::MAX)));
        for bad in ["", "MB", "-1", "4XB", "99999999999999TB", "1 MB x"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["5GiB", "4294967297", "100k"] {
            assert!(volume_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_with_a_slash_are_paths() {
        assert_eq!(key("site"), Ok(KeyChoice::Stored("site".into())));
        assert_eq!(key("./site"), Ok(KeyChoice::File("./site".into())));
        assert_eq!(key("agent:SHA256:ab/c"), Ok(KeyChoice::Agent("SHA256:ab/c".into())));
        assert!(key("..").is_err() && key("agent:").is_err() && key_name("a/b").is_err());
    }

    #[test]
    fn lookasides_are_addresses_or_folders() {
        let of = |scope: Option<&str>, store: &str| Ok(Lookaside { scope: scope.map(str::to_owned), store: Store::parse(store) });
        assert_eq!(lookaside("quay.io/team=https://s.test/x?a=b"), of(Some("quay.io/team"), "https://s.test/x?a=b"));
        assert_eq!(lookaside("https://s.test/x?a=b"), of(None, "https://s.test/x?a=b"));
        assert_eq!(lookaside("file:///srv/a=b"), of(None, "/srv/a=b"));
        assert_eq!(lookaside("file:///srv/a%3Db"), of(None, "/srv/a=b"));
        // With two slashes the first folder would be a host, and the rest lie somewhere below here.
        for bad in ["", "=x", "quay.io=", "ftp://s.test", "quay.io=s3://x", "file://srv/signatures", "quay.io=file://srv"] {
            assert!(lookaside(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_hosts() {
        for (text, host) in [
            ("mirror.lan", "mirror.lan"),
            ("Mirror.LAN", "mirror.lan"),
            ("*.lan", "*.lan"),
            ("10.0.0.7", "10.0.0.7"),
            ("::1", "::1"),
            ("[fd00:0::7]", "fd00::7"),
        ] {
            assert_eq!(hostname(text), Ok(host.to_owned()));
        }
        for bad in [
            "",
            "mirror.lan:8443",
            "https://mirror.lan",
            "bad host",
            "b\u{fc}cher.lan",
            "a..b",
            "-a",
            "a/b",
            "[::1",
            "*",
            "*.*.lan",
            "[10.0.0.7]:1",
        ] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
        assert!(hostname("mirror.lan:8443").unwrap_err().contains("without a port"));
    }

    #[test]
    fn targets() {
        let registry = |host: &str, prefix: &str| Ok(Destination::Registry { host: host.into(), prefix: prefix.into() });
        assert_eq!(destination("localhost:5982/m"), registry("localhost:5982", "m"));
        assert_eq!(destination("registry.lan/"), registry("registry.lan", ""));
        assert_eq!(destination("docker://Registry.LAN/m"), registry("registry.lan", "m"));
        assert_eq!(destination("[::1]:5000/a/b"), registry("[::1]:5000", "a/b"));
        assert_eq!(destination("oci:/tmp/x"), Ok(Destination::Layout("/tmp/x".into())));
        for bad in ["", "/m", "https://r/m", "user:pw@r/m", "r/UP", "r//m", "oci:"] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn wishes_are_told_apart() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("list");
        std::fs::write(&file, "x").unwrap();
        let sort = |text: &str| Wish::sort(OsStr::new(text));
        assert_eq!(sort("imageset.yaml").unwrap(), Wish::ImageSet("imageset.yaml".into()));
        assert_eq!(Wish::sort(file.as_os_str()).unwrap(), Wish::ImageSet(file));
        assert_eq!(sort("plan.json").unwrap(), Wish::Plan("plan.json".into()));
        // As oc-mirror has it written.
        assert_eq!(sort("file:///a/set.yaml").unwrap(), Wish::ImageSet("/a/set.yaml".into()));
        assert_eq!(sort("docker://quay.io/x/y:1").unwrap(), sort("quay.io/x/y:1").unwrap());
        assert!(matches!(sort("oci:d/e:1.0").unwrap(), Wish::Image(Source::Layout { .. })));
        assert!(matches!(sort("quay.io/x/y:1").unwrap(), Wish::Image(Source::Registry(_))));
        assert_eq!(sort("release:4.17.2").unwrap(), Wish::Release("4.17.2".into()));
        assert!(sort("Quay Io").is_err() && sort("quay.io/x/y").is_err());
    }

    #[test]
    fn streams() {
        assert!(stream("ocp4-a").is_ok());
        for bad in ["", "A", "a_b", "a/b", &"a".repeat(33)] {
            assert!(stream(bad).is_err(), "{bad}");
        }
    }
}
