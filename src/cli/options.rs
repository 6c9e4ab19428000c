//! Options several commands share.

use super::{Context, values};
use crate::error::{Error, Side};
use crate::fs::read_user_file;
use crate::layout::Layout;
use crate::oci::referrers::ReferrerFilter;
use crate::policy::Policy;
use clap::Args;
use std::path::{Path, PathBuf};

/// Which key signs.
#[derive(Args, Clone, Debug, Default)]
pub struct Signing {
    /// Key to sign with: a stored name, a path (when it contains a slash), or agent:FINGERPRINT or agent:PUBFILE for a key in
    /// the ssh-agent
    #[arg(long, value_name = "KEY", value_parser = values::key, help_heading = "Signing")]
    pub key: Option<values::KeyChoice>,
    /// File whose first line is the key's passphrase; without it SEALIFT_PASSPHRASE is used, else the terminal is asked
    #[arg(long, value_name = "FILE", help_heading = "Signing")]
    pub passphrase_file: Option<PathBuf>,
}

/// How a registry is spoken to, on either side.
#[derive(Args, Clone, Debug, Default)]
pub struct Access {
    /// Credentials file as podman and docker write it; only this one is read then. Default: REGISTRY_AUTH_FILE, else the usual
    /// places
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub authfile: Option<PathBuf>,
    /// registries.conf (version 2) with mirrors, blocked and insecure registries; only this one is read then. Default:
    /// CONTAINERS_REGISTRIES_CONF, else the usual places with their drop-ins
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub registries_conf: Option<PathBuf>,
    /// Certificates (PEM) of authorities to trust beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub ca_file: Option<PathBuf>,
    /// Client certificate (PEM) to show to the registry
    #[arg(long, value_name = "FILE", requires = "client_key", help_heading = "Registry")]
    pub client_cert: Option<PathBuf>,
    /// Private key (PEM) of the client certificate
    #[arg(long, value_name = "FILE", requires = "client_cert", help_heading = "Registry")]
    pub client_key: Option<PathBuf>,
    /// Setting of one host: downloads=N, uploads=N, chunk=SIZE or header.NAME=VALUE. May be given several times; over hosts.toml in
    /// the config folder, where headers that are secret belong (sealift-hosts(5))
    #[arg(long = "host-setting", value_name = "HOST:KEY=VALUE", value_parser = values::host_setting, help_heading = "Registry")]
    pub host_settings: Vec<String>,
    /// Transfers at a time, 1 to 64 (default: 6 downloads, 4 uploads; 2 uploads to a mirror-registry)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Registry")]
    pub parallel: Option<u8>,
}

/// How sources are spoken to.
#[derive(Args, Clone, Debug, Default)]
pub struct Source {
    /// What both sides share.
    #[command(flatten)]
    pub access: Access,
    /// false: accept any certificate and plain HTTP from the sources. Digests are verified all the same
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Registry")]
    pub src_tls_verify: Option<bool>,
}

/// How the target is spoken to.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// What both sides share.
    #[command(flatten)]
    pub access: Access,
    /// false: accept any certificate and plain HTTP from the target
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Registry")]
    pub dest_tls_verify: Option<bool>,
}

/// How both sides of a mirror are spoken to. What is said once is for both.
#[derive(Args, Clone, Debug, Default)]
pub struct BothSides {
    /// Credentials file for both sides, as podman and docker write it. Default: REGISTRY_AUTH_FILE, else the usual places
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub authfile: Option<PathBuf>,
    /// Credentials file for the sources only
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub src_authfile: Option<PathBuf>,
    /// Credentials file for the target only
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub dest_authfile: Option<PathBuf>,
    /// Certificates (PEM) of authorities to trust for both sides beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub ca_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities to trust for the sources only, beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub src_ca_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities to trust for the target only, beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub dest_ca_file: Option<PathBuf>,
    /// Client certificate (PEM) to show to the sources
    #[arg(long, value_name = "FILE", requires = "src_client_key", help_heading = "Registries")]
    pub src_client_cert: Option<PathBuf>,
    /// Private key (PEM) of the client certificate for the sources
    #[arg(long, value_name = "FILE", requires = "src_client_cert", help_heading = "Registries")]
    pub src_client_key: Option<PathBuf>,
    /// Client certificate (PEM) to show to the target
    #[arg(long, value_name = "FILE", requires = "dest_client_key", help_heading = "Registries")]
    pub dest_client_cert: Option<PathBuf>,
    /// Private key (PEM) of the client certificate for the target
    #[arg(long, value_name = "FILE", requires = "dest_client_cert", help_heading = "Registries")]
    pub dest_client_key: Option<PathBuf>,
    /// false: accept any certificate and plain HTTP from the sources. Digests are verified all the same
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Registries")]
    pub src_tls_verify: Option<bool>,
    /// false: accept any certificate and plain HTTP from the target
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Registries")]
    pub dest_tls_verify: Option<bool>,
    /// Transfers at a time, 1 to 64 (default: 6)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64), help_heading = "Registries")]
    pub parallel: Option<u8>,
    /// registries.conf (version 2) with mirrors, blocked and insecure registries; only this one is read then. Default:
    /// CONTAINERS_REGISTRIES_CONF, else the usual places with their drop-ins
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    pub registries_conf: Option<PathBuf>,
    /// Setting of one host: downloads=N, uploads=N, chunk=SIZE or header.NAME=VALUE. May be given several times; over hosts.toml in
    /// the config folder, where headers that are secret belong (sealift-hosts(5))
    #[arg(long = "host-setting", value_name = "HOST:KEY=VALUE", value_parser = values::host_setting, help_heading = "Registries")]
    pub host_settings: Vec<String>,
}

impl BothSides {
    /// The side images come from.
    pub fn source(&self) -> Source {
        let access = Access {
            authfile: self.src_authfile.clone().or_else(|| self.authfile.clone()),
            ca_file: self.src_ca_file.clone().or_else(|| self.ca_file.clone()),
            client_cert: self.src_client_cert.clone(),
            client_key: self.src_client_key.clone(),
            parallel: self.parallel,
            registries_conf: self.registries_conf.clone(),
            host_settings: self.host_settings.clone(),
        };
        Source { access, src_tls_verify: self.src_tls_verify }
    }

    /// The side images go to.
    pub fn target(&self) -> Target {
        let access = Access {
            authfile: self.dest_authfile.clone().or_else(|| self.authfile.clone()),
            ca_file: self.dest_ca_file.clone().or_else(|| self.ca_file.clone()),
            client_cert: self.dest_client_cert.clone(),
            client_key: self.dest_client_key.clone(),
            parallel: self.parallel,
            registries_conf: self.registries_conf.clone(),
            host_settings: self.host_settings.clone(),
        };
        Target { access, dest_tls_verify: self.dest_tls_verify }
    }
}

/// How names are made at the target.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Nested {
    /// Flatten repository names to this many path components, the prefix included, for registries that take no deeper ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub max_nested_paths: Option<u8>,
}

impl Nested {
    /// As a number; 0 where names are not flattened.
    pub fn paths(&self) -> usize {
        self.max_nested_paths.map_or(0, usize::from)
    }
}

/// How names will be made inside: only to look for collisions before anything is fetched.
#[derive(Args, Clone, Debug, Default)]
pub struct Inside {
    /// Refuse two images that unpack --max-nested-paths N would give one name. Names in the set stay as they are: the target
    /// decides
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..), help_heading = "Selection")]
    pub max_nested_paths: Option<u8>,
    /// Prefix at the target, which --max-nested-paths counts as well
    #[arg(long, value_name = "PREFIX", requires = "max_nested_paths", help_heading = "Selection")]
    pub inside_prefix: Option<String>,
}

impl Inside {
    /// Two images of one name inside are told now, and not after the walk.
    ///
    /// # Errors
    /// `NAME_COLLISION`; a prefix that leaves no room.
    pub fn refuse_collisions(&self, plan: &crate::pack::PackPlan) -> Result<(), Error> {
        let Some(paths) = self.max_nested_paths else { return Ok(()) };
        let prefix = self.inside_prefix.as_deref().unwrap_or_default().trim_matches('/');
        crate::unpack::refuse_collisions(prefix, usize::from(paths), &plan.images).map_err(|e| Error::from(&e))
    }
}

/// What is taken of the images.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Take only this platform of images that have several: linux/amd64, linux/arm/v7. May be given several times; default:
    /// what the ImageSet says, else all
    #[arg(long = "platform", value_name = "PLATFORM", help_heading = "Selection")]
    pub platforms: Vec<crate::oci::Platform>,
    /// Leave out images that cannot be had, list them, and exit with 3
    #[arg(long, help_heading = "Selection")]
    pub keep_going: bool,
    /// Carry only these signatures, attestations and SBOMs of the images: sig, att, sbom for cosign's tags, else artifact types, in
    /// which * stands for anything. Default: all that refer to an image, to a member of it, or to one of them
    #[arg(long, value_name = "TYPE", value_delimiter = ',', help_heading = "Selection")]
    pub referrers: Vec<String>,
    /// Carry the images without what refers to them, and do not ask for it: saves four requests for each manifest
    #[arg(long, conflicts_with_all = ["referrers", "policy", "lookaside"], help_heading = "Selection")]
    pub no_referrers: bool,
    /// Accept only images that this signature policy (containers-policy.json(5)) accepts. Their signatures are carried
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub policy: Option<PathBuf>,
    /// Where OpenPGP signatures lie (a lookaside): an address or a folder, for all images or those of a SCOPE like quay.io/team. May be
    /// given several times; comes before registries.d. What is found is carried
    #[arg(long, value_name = "[SCOPE=]URL|DIR", value_parser = values::lookaside, help_heading = "Selection")]
    pub lookaside: Vec<values::Lookaside>,
    /// Folder with the lookasides of registries (containers-registries.d(5)); only this one is read then. Default: that of the
    /// user, else /etc/containers/registries.d
    #[arg(long, alias = "registries.d", value_name = "DIR", help_heading = "Selection")]
    pub registries_d: Option<PathBuf>,
}

impl Selection {
    /// Which referrers are carried: with a policy the signatures always, so that the other side can judge as well.
    pub fn wanted_referrers(&self) -> ReferrerFilter {
        let asked = match (self.no_referrers, self.referrers.is_empty()) {
            (true, _) => ReferrerFilter::none(),
            (false, true) => ReferrerFilter::all(),
            (false, false) => ReferrerFilter::of(self.referrers.clone()),
        };
        if self.policy.is_some() { asked.with_signatures() } else { asked }
    }
}

/// Reads a signature policy and the keys it names.
pub fn policy(path: &Path) -> Result<Policy, Error> {
    let read = |key: &Path| read_user_file(key).map_err(|e| e.to_string());
    Policy::parse(&read_user_file(path)?, &read).map_err(|e| {
        let error = Error::from(e);
        Error { what: format!("{}: {}", path.display(), error.what), ..error }
    })
}

/// Where releases, catalogs and charts are looked into.
#[derive(Args, Clone, Debug, Default)]
pub struct OpenShift {
    /// Update graph to ask in place of the public one (default: UPDATE_URL_OVERRIDE, else api.openshift.com)
    #[arg(long, value_name = "URL", help_heading = "OpenShift")]
    pub graph_url: Option<String>,
    /// Architecture of releases asked for as release:VERSION: amd64, arm64, ppc64le, s390x, multi. May be given several times
    /// (default: amd64)
    #[arg(long, value_name = "ARCH", value_parser = ["amd64", "arm64", "ppc64le", "s390x", "multi"], help_heading = "OpenShift")]
    pub arch: Vec<String>,
    /// Store of release signatures: an address or a folder. May be given several times (default: OCP_SIGNATURE_URL, else the public
    /// ones)
    #[arg(long, value_name = "URL|DIR", help_heading = "OpenShift")]
    pub signature_store: Vec<String>,
    /// OpenPGP key that signs releases; it is believed because you name it. May be given several times (default:
    /// OCP_SIGNATURE_VERIFICATION_PK, else the keys in /etc/pki/rpm-gpg and in release-keys beside the trust file, of which only
    /// Red Hat's release key counts)
    #[arg(long, value_name = "FILE", help_heading = "OpenShift")]
    pub release_key: Vec<PathBuf>,
    /// Carry releases that have no signature that holds. Only for releases that nobody signs
    #[arg(long, help_heading = "OpenShift")]
    pub ignore_release_signature: bool,
    /// Graph data for the update service: an address or a .tar.gz file (default: api.openshift.com)
    #[arg(long, value_name = "URL|FILE", help_heading = "OpenShift")]
    pub graph_data: Option<String>,
    /// Image that the graph image is built upon (default: registry.access.redhat.com/ubi9/ubi:latest)
    #[arg(long, value_name = "REFERENCE", help_heading = "OpenShift")]
    pub graph_base: Option<String>,
    /// Add the operators that the chosen ones depend on; without it they are only listed
    #[arg(long, help_heading = "OpenShift")]
    pub with_dependencies: bool,
    /// Values for the charts (helm template -f). May be given several times
    #[arg(long, value_name = "FILE", help_heading = "OpenShift")]
    pub helm_values: Vec<PathBuf>,
    /// Read charts without the helm program, even where there is one
    #[arg(long, help_heading = "OpenShift")]
    pub no_helm: bool,
}

/// What the set is called and meant for.
#[derive(Args, Clone, Debug)]
pub struct Identity {
    /// Stream the set belongs to: 1 to 32 of a-z, 0-9 and -. Keys are trusted per stream
    #[arg(long, default_value = "default", value_parser = values::stream, help_heading = "Set")]
    pub stream: String,
    /// Sequence number, higher than that of the stream's earlier sets, or that of the earlier set to make again (default: seconds since 1970)
    #[arg(long, value_name = "N", help_heading = "Set")]
    pub sequence: Option<u64>,
    /// Site the set is meant for; others refuse it. May be given several times (default: any site)
    #[arg(long, value_name = "LABEL", help_heading = "Set")]
    pub audience: Vec<String>,
    /// Note in the signed index. May be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = values::label, help_heading = "Set")]
    pub labels: Vec<(String, String)>,
}

impl Identity {
    /// Of a set that is never written: only its plan is looked at.
    pub fn unwritten(stream: &str) -> Identity {
        Identity { stream: stream.to_owned(), sequence: None, audience: Vec::new(), labels: Vec::new() }
    }
}

/// How images become volumes.
#[derive(Args, Clone, Debug)]
pub struct Shape {
    /// Exact upper bound of each volume: 700MB, 4GiB; at least 256KiB, at most 4294967295 bytes
    #[arg(long, value_name = "SIZE", value_parser = values::volume_size, help_heading = "Volumes")]
    pub volume_size: Option<u64>,
    /// How hard to squeeze
    #[arg(long, value_enum, default_value_t = Compression::Fast, help_heading = "Volumes")]
    pub compression: Compression,
    /// zstd level for what is compressed at all, 1 to 19
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19), help_heading = "Volumes")]
    pub level: i32,
}

impl Shape {
    /// Of a set that is never written.
    pub fn unwritten() -> Shape {
        Shape { volume_size: Some(crate::limits::VOLUME_BYTES_MAX), compression: Compression::Fast, level: 3 }
    }
}

/// The ways to encode blobs.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Blobs travel as they are; stock tar and zstd open the volumes as an OCI layout
    Fast,
}

/// Where work in progress lies.
#[derive(Args, Clone, Debug, Default)]
pub struct Workspace {
    /// Folder for what has been fetched; it makes runs resumable (default: the cache folder)
    #[arg(long, value_name = "DIR", value_parser = values::local(), help_heading = "Files")]
    pub workspace: Option<PathBuf>,
}

impl Workspace {
    /// Opens it, making it where there is none.
    pub fn open(&self, ctx: &Context) -> Result<Layout, Error> {
        let path = match &self.workspace {
            Some(path) => path.clone(),
            None => ctx.environment.cache()?.join("workspace"),
        };
        Layout::create(&path).map_err(|e| crate::error::layout(&e, Side::Target))
    }
}
