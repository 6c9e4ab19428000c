//! What the process was started with: environment variables, collected once.
//!
//! Nothing else in the program reads the environment. Values that hold secrets print as `(hidden)`.

use crate::error::{Code, Error};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A text that is never printed and wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text in.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The folders of this user (XDG base directory specification).
#[derive(Clone, Debug, Default)]
struct Folders {
    config: Option<PathBuf>,
    state: Option<PathBuf>,
    cache: Option<PathBuf>,
}

/// Everything the environment says that this program listens to.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    folders: Folders,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, else `.config` in the home: where other programs keep theirs (`containers/registries.conf`).
    pub user_config: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: `containers/auth.json` lies there.
    pub runtime: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`: the one credentials file to read.
    pub auth_file: Option<PathBuf>,
    /// `DOCKER_CONFIG`: the folder of `config.json`.
    pub docker_config: Option<PathBuf>,
    /// `CONTAINERS_REGISTRIES_CONF`: in place of the usual registries.conf.
    pub registries_conf: Option<PathBuf>,
    /// `CONTAINERS_REGISTRIES_CONF_OVERRIDE`: read after all others.
    pub registries_conf_override: Option<PathBuf>,
    /// `SSL_CERT_FILE`: authorities in place of the system's.
    pub certificates: Option<PathBuf>,
    /// `SSH_AUTH_SOCK`: the socket of the ssh-agent.
    pub ssh_agent: Option<PathBuf>,
    /// `PATH`, for credential helpers (`docker-credential-NAME`).
    pub path: Option<OsString>,
    /// `HTTPS_PROXY` or `https_proxy`; may hold a password.
    pub https_proxy: Option<Secret>,
    /// `http_proxy` (the upper-case form is ignored, as curl does: a CGI client could set it); may hold a password.
    pub http_proxy: Option<Secret>,
    /// `ALL_PROXY` or `all_proxy`; may hold a password.
    pub all_proxy: Option<Secret>,
    /// `NO_PROXY` or `no_proxy`: hosts reached directly.
    pub no_proxy: Option<String>,
    /// `SEALIFT_PASSPHRASE`: of the signing key.
    pub passphrase: Option<Secret>,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970 that stand for now in what is written (reproducible-builds.org).
    pub source_date_epoch: Option<u64>,
    /// `NO_COLOR` is set, or `TERM` is `dumb`: no bars.
    pub plain: bool,
    /// `SEALIFT_FAULT`: a fault plan; debug builds only.
    pub fault: Option<String>,
}

/// The variables and what they do: the section ENVIRONMENT of `sealift(1)`.
pub const VARIABLES: &[(&str, &str)] = &[
    ("SEALIFT_HOME", "Folder for everything sealift keeps: config, state and cache lie in it. Overrides the XDG variables and HOME."),
    ("XDG_CONFIG_HOME", "sealift in it holds keys and trust (default: ~/.config)."),
    ("XDG_STATE_HOME", "sealift in it holds the ledger, receipts, cluster resources and the spool (default: ~/.local/state)."),
    ("XDG_CACHE_HOME", "sealift in it holds the workspace, which may be deleted between runs (default: ~/.cache)."),
    ("HOME", "Where the defaults above begin."),
    ("SEALIFT_PASSPHRASE", "Passphrase of the signing key. Other processes of the same user can read it; --passphrase-file is better."),
    ("SOURCE_DATE_EPOCH", "Seconds since 1970 that stand for now in what is written, to make a set twice alike."),
    ("REGISTRY_AUTH_FILE", "The one credentials file to read, when --authfile is not given."),
    ("XDG_RUNTIME_DIR", "containers/auth.json in it holds the credentials of podman login."),
    ("DOCKER_CONFIG", "Folder of docker's config.json (default: ~/.docker)."),
    ("CONTAINERS_REGISTRIES_CONF", "Read in place of the usual registries.conf."),
    ("CONTAINERS_REGISTRIES_CONF_OVERRIDE", "Read after all other registries.conf files."),
    ("SSL_CERT_FILE", "Certificates of authorities to trust in place of the system's."),
    ("SSH_AUTH_SOCK", "Socket of the ssh-agent, for --key agent:..."),
    ("PATH", "Where credential helpers (docker-credential-NAME) are looked for."),
    ("HTTPS_PROXY, https_proxy", "Proxy for registries with TLS."),
    ("http_proxy", "Proxy for registries without TLS. HTTP_PROXY is ignored."),
    ("ALL_PROXY, all_proxy", "Proxy for either, where no other is set."),
    ("NO_PROXY, no_proxy", "Hosts that are reached without a proxy."),
    ("NO_COLOR", "Set to anything: plain lines in place of progress bars."),
    ("TERM", "dumb: plain lines in place of progress bars."),
    ("SEALIFT_FAULT", "Makes operations fail, for tests. Without effect in a release build."),
];

impl Environment {
    /// Reads the variables through `get`. Empty ones count as not set; relative XDG paths are ignored, as their specification demands.
    ///
    /// # Errors
    /// `USAGE` when SOURCE_DATE_EPOCH is not a number.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Environment, Error> {
        let some = |name: &str| get(name).filter(|value| !value.is_empty());
        let path = |name: &str| some(name).map(PathBuf::from);
        let text = |name: &str| some(name).and_then(|value| value.into_string().ok());
        let secret = |names: &[&str]| names.iter().find_map(|name| text(name)).map(Secret::new);
        let home = path("HOME");
        Ok(Environment {
            folders: Folders::find(&path, home.as_deref()),
            user_config: xdg(&path, home.as_deref(), "XDG_CONFIG_HOME", ".config"),
            runtime: path("XDG_RUNTIME_DIR"),
            auth_file: path("REGISTRY_AUTH_FILE"),
            docker_config: path("DOCKER_CONFIG"),
            registries_conf: path("CONTAINERS_REGISTRIES_CONF"),
            registries_conf_override: path("CONTAINERS_REGISTRIES_CONF_OVERRIDE"),
            certificates: path("SSL_CERT_FILE"),
            ssh_agent: path("SSH_AUTH_SOCK"),
            path: some("PATH"),
            https_proxy: secret(&["HTTPS_PROXY", "https_proxy"]),
            http_proxy: secret(&["http_proxy"]),
            all_proxy: secret(&["ALL_PROXY", "all_proxy"]),
            no_proxy: text("NO_PROXY").or_else(|| text("no_proxy")),
            passphrase: secret(&["SEALIFT_PASSPHRASE"]),
            source_date_epoch: text("SOURCE_DATE_EPOCH").map(|value| epoch(&value)).transpose()?,
            plain: some("NO_COLOR").is_some() || text("TERM").as_deref() == Some("dumb"),
            fault: text("SEALIFT_FAULT"),
            home,
        })
    }

    /// Folder of keys and trust.
    ///
    /// # Errors
    /// `USAGE` when neither SEALIFT_HOME nor XDG_CONFIG_HOME nor HOME says where; so do the two below.
    pub fn config(&self) -> Result<&Path, Error> {
        known(&self.folders.config, "XDG_CONFIG_HOME")
    }

    /// Folder of the ledger and of the spool.
    pub fn state(&self) -> Result<&Path, Error> {
        known(&self.folders.state, "XDG_STATE_HOME")
    }

    /// Folder of the workspace: may be deleted at any time between runs.
    pub fn cache(&self) -> Result<&Path, Error> {
        known(&self.folders.cache, "XDG_CACHE_HOME")
    }
}

impl Folders {
    fn find(path: &impl Fn(&str) -> Option<PathBuf>, home: Option<&Path>) -> Folders {
        if let Some(all) = path("SEALIFT_HOME") {
            return Folders { config: Some(all.join("config")), state: Some(all.join("state")), cache: Some(all.join("cache")) };
        }
        let ours = |name, below| xdg(path, home, name, below).map(|folder| folder.join("sealift"));
        Folders {
            config: ours("XDG_CONFIG_HOME", ".config"),
            state: ours("XDG_STATE_HOME", ".local/state"),
            cache: ours("XDG_CACHE_HOME", ".cache"),
        }
    }
}

fn xdg(path: &impl Fn(&str) -> Option<PathBuf>, home: Option<&Path>, name: &str, below: &str) -> Option<PathBuf> {
    path(name).filter(|folder| folder.is_absolute()).or_else(|| home.map(|home| home.join(below)))
}

fn known<'a>(folder: &'a Option<PathBuf>, name: &str) -> Result<&'a Path, Error> {
    folder.as_deref().ok_or_else(|| {
        Error::new(Code::Usage, "it is not known where this user's files are")
            .because(format!("neither SEALIFT_HOME nor {name} nor HOME is set"))
            .remedy("set SEALIFT_HOME to a folder")
    })
}

fn epoch(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| {
        Error::new(Code::Usage, format!("SOURCE_DATE_EPOCH is not a number of seconds: {text}"))
            .remedy("unset SOURCE_DATE_EPOCH or correct it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Environment, Error> {
        Environment::read(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn folders_follow_home_xdg_and_sealift_home() {
        let home = read(&[("HOME", "/h")]).unwrap();
        assert_eq!(home.config().unwrap(), Path::new("/h/.config/sealift"));
        assert_eq!(home.state().unwrap(), Path::new("/h/.local/state/sealift"));
        assert_eq!(home.cache().unwrap(), Path::new("/h/.cache/sealift"));
        let xdg = read(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("XDG_CACHE_HOME", "relative")]).unwrap();
        assert_eq!(xdg.state().unwrap(), Path::new("/s/sealift"));
        assert_eq!(xdg.cache().unwrap(), Path::new("/h/.cache/sealift"));
        let ours = read(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("SEALIFT_HOME", "/o")]).unwrap();
        assert_eq!(ours.state().unwrap(), Path::new("/o/state"));
        assert_eq!(ours.user_config.as_deref(), Some(Path::new("/h/.config")));
        assert_eq!(read(&[("HOME", "")]).unwrap().config().unwrap_err().code, Code::Usage);
    }

    #[test]
    fn the_manual_lists_exactly_what_is_read() {
        let read = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let _ = Environment::read(|name| {
            read.borrow_mut().insert(name.to_owned());
            None
        });
        // With SEALIFT_HOME unset all others are asked for.
        let listed = VARIABLES.iter().flat_map(|(names, _)| names.split(", ")).map(str::to_owned).collect();
        assert_eq!(read.into_inner(), listed);
    }

    #[test]
    fn secrets_do_not_print() {
        let environment = read(&[("SEALIFT_PASSPHRASE", "hunter2"), ("https_proxy", "http://u:hunter2@p")]).unwrap();
        assert!(!format!("{environment:?}").contains("hunter2"));
        assert_eq!(environment.passphrase.unwrap().expose(), "hunter2");
    }

    #[test]
    fn a_wrong_epoch_is_refused() {
        assert_eq!(read(&[("SOURCE_DATE_EPOCH", "12")]).unwrap().source_date_epoch, Some(12));
        assert_eq!(read(&[("SOURCE_DATE_EPOCH", "yesterday")]).unwrap_err().code, Code::Usage);
    }
}
