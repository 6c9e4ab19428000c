//! Registries and layouts as the options and the environment say they are to be spoken to.

use super::{Context, options, values};
use crate::error::{Code, Error, Side};
use crate::fs::Loaded;
use crate::image_set::Source;
use crate::layout::Layout;
use crate::lookaside::{Folders, Lookasides, Scopes};
use crate::origin::{MadeOrigin, Mirrored, Origin, OriginError, Origins, Remembering, Told};
use crate::progress::{Level, Progress};
use crate::registry::certs::CertDirs;
use crate::registry::credentials::{self, AuthFiles, Credential, CredentialError, CredentialLookup, auth_files};
use crate::registry::hosts::HostTable;
use crate::registry::mirrors::{Conf, ConfFiles};
use crate::registry::{Client, Options};
use crate::text::shown;
use crate::unpack::{LayoutTarget, RegistryTarget, Target};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Places where podman, CRI-O and docker keep certificates per host; the user's own first.
const SYSTEM_CERTS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// Folders of `registries.conf` that do not belong to a user: the administrator's, the packager's.
const SYSTEM_CONF: [&str; 2] = ["/etc/containers", "/usr/share/containers"];

/// What `registries.conf` says, wherever it lies.
pub fn registries(ctx: &Context, access: &options::Access) -> Result<Conf, Error> {
    let environment = &ctx.environment;
    let last = environment.registries_conf_override.clone().filter(|_| access.registries_conf.is_none());
    let files = ConfFiles {
        named: access.registries_conf.clone().or_else(|| environment.registries_conf.clone()),
        user: environment.user_config.as_ref().map(|config| config.join("containers")),
        system: SYSTEM_CONF.map(PathBuf::from).to_vec(),
        last,
    };
    Ok(told(ctx, "registries.conf", files.load()?))
}

/// What files of configuration say, once the person knows which they are and what is odd in them.
fn told<T>(ctx: &Context, what: &str, loaded: Loaded<T>) -> T {
    loaded.notices.iter().for_each(|notice| ctx.output.warn(notice));
    for file in loaded.files {
        ctx.progress.say(Level::Detail, &format!("{what}: {}", shown(&file.display().to_string())));
    }
    loaded.content
}

/// Folders of `registries.d` that do not belong to a user.
const SYSTEM_REGISTRIES_D: [&str; 2] = ["/etc/containers/registries.d", "/usr/share/containers/registries.d"];

/// Where OpenPGP signatures of images lie: as the options and `registries.d` say. With --no-referrers nowhere.
pub fn lookasides(ctx: &Context, selection: &options::Selection) -> Result<Lookasides, Error> {
    if selection.no_referrers {
        return Ok(Lookasides::default());
    }
    let mut named = Scopes::default();
    for values::Lookaside { scope, store } in &selection.lookaside {
        if named.set(scope.as_deref(), store.clone()) {
            let what = format!("two lookasides were given for {}", scope.as_deref().unwrap_or("all images"));
            return Err(Error::new(Code::Usage, what).remedy("give each --lookaside a SCOPE= of its own"));
        }
    }
    let own = ctx.environment.user_config.iter().map(|config| config.join("containers/registries.d"));
    let usual = own.chain(SYSTEM_REGISTRIES_D.map(PathBuf::from)).collect();
    let loaded = Folders { named: selection.registries_d.clone(), usual }.load()?;
    Ok(Lookasides::new(named, told(ctx, "registries.d", loaded)))
}

/// A client for one side. `verify` is what `--src-tls-verify` or `--dest-tls-verify` says.
///
/// `finishing` is set when requests must pass although the person asked to stop: what has arrived is held.
pub fn client(
    ctx: &Context,
    access: &options::Access,
    conf: &Conf,
    verify: Option<bool>,
    finishing: &Arc<AtomicBool>,
) -> Result<Client, Error> {
    let environment = &ctx.environment;
    let own_certs = environment.user_config.iter().map(|config| config.join("containers/certs.d"));
    let tls = CertDirs {
        dirs: own_certs.chain(SYSTEM_CERTS.map(PathBuf::from)).collect(),
        ca_files: access.ca_file.iter().cloned().collect(),
        client_cert: access.client_cert.clone(),
        client_key: access.client_key.clone(),
        insecure_hosts: conf.insecure_hosts(),
    };
    let files = auth_files(&credentials::Environment {
        authfile: access.authfile.clone(),
        registry_auth_file: environment.auth_file.clone(),
        xdg_runtime_dir: environment.runtime.clone(),
        xdg_config_home: environment.user_config.clone(),
        home: environment.home.clone(),
        docker_config: environment.docker_config.clone(),
        uid: rustix::process::getuid().as_raw(),
    });
    let helper_path = environment.path.as_deref().map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let parallel = access.parallel.map(usize::from);
    let defaults = Options::default();
    let hosts = hosts(ctx, access)?;
    let (cancel, finishing, progress, notes) = (ctx.cancel.clone(), finishing.clone(), ctx.progress.clone(), ctx.progress.clone());
    let options = Options {
        tls: Arc::new(tls),
        credentials: Arc::new(Telling { files: AuthFiles::new(files, helper_path), progress: ctx.progress.clone() }),
        verify_tls: verify.unwrap_or(true),
        downloads: parallel.unwrap_or(defaults.downloads),
        uploads: parallel.unwrap_or(defaults.uploads),
        gentle: parallel.is_none(),
        hosts,
        cancelled: Arc::new(move || cancel.load(Ordering::Relaxed) && !finishing.load(Ordering::Relaxed)),
        timing: super::timing(ctx),
        warn: Arc::new(move |line| progress.say(Level::Warning, line)),
        note: Arc::new(move |line| notes.say(Level::Info, line)),
        ..defaults
    };
    Client::new(options).map_err(|e| crate::error::source(&e))
}

/// Credentials whose lookup says what a person should know of the files: that others may read them, that a store is missing.
struct Telling {
    files: AuthFiles,
    progress: Arc<dyn Progress>,
}

impl CredentialLookup for Telling {
    fn lookup(&self, host: &str, repository: &str) -> Result<Option<Credential>, CredentialError> {
        let found = self.files.lookup(host, repository);
        for warning in self.files.take_warnings() {
            self.progress.say(Level::Warning, &shown(&warning.to_string()).to_string());
        }
        found
    }
}

/// Where images go.
pub struct Place {
    /// The target.
    pub target: Box<dyn Target>,
    /// In front of all repositories.
    pub prefix: String,
    /// Of a registry.
    pub client: Option<Client>,
}

/// Opens a target. A registry is spoken to at once: a wrong name or password is told before anything is done.
pub fn target(ctx: &Context, to: &values::Destination, options: &options::Target) -> Result<Place, Error> {
    match to {
        values::Destination::Registry { host, prefix } => {
            let finishing = Arc::default();
            let conf = registries(ctx, &options.access)?;
            let client = client(ctx, &options.access, &conf, options.dest_tls_verify, &finishing)?;
            client.repository(host, prefix).ping().map_err(|e| crate::error::target(&e))?;
            let target = RegistryTarget::new(client.clone(), host, prefix, finishing);
            Ok(Place { target: Box::new(target), prefix: prefix.clone(), client: Some(client) })
        }
        values::Destination::Layout(path) => {
            let layout = Layout::create(path).map_err(|e| crate::error::layout(&e, Side::Target))?;
            Ok(Place { target: Box::new(LayoutTarget::new(layout)), prefix: String::new(), client: None })
        }
    }
}

/// Settings of single hosts: the file, over it `--parallel`, over that `--host-setting`.
fn hosts(ctx: &Context, access: &options::Access) -> Result<HostTable, Error> {
    let mut hosts = match ctx.environment.config() {
        Ok(config) => {
            let path = config.join("hosts.toml");
            let table = HostTable::load(&path)?;
            if table.is_exposed() {
                let path = shown(&path.display().to_string()).to_string();
                let line = format!("{path} holds headers, which may be secrets, and can be read by other users: `chmod 600 {path}`");
                ctx.progress.say(Level::Warning, &line);
            }
            table
        }
        Err(_) => HostTable::default(),
    };
    if let Some(transfers) = access.parallel {
        hosts.parallel(transfers.into());
    }
    for setting in &access.host_settings {
        hosts.set(setting).map_err(|fault| Error::new(Code::Usage, format!("--host-setting: {fault}")))?;
    }
    Ok(hosts)
}

/// A repository, each of whose answers about names and manifests is asked for once.
type Connection = Arc<Remembering<Mirrored>>;

/// Repositories by host and name.
type Repositories = HashMap<(String, String), Connection>;

/// The sources of a pack: each repository and each layout opened once.
pub struct Sources {
    client: Client,
    conf: Arc<Conf>,
    told: Told,
    repositories: Mutex<Repositories>,
    workspace: Layout,
    layouts: Mutex<HashMap<PathBuf, Arc<Layout>>>,
}

impl Sources {
    /// Sources spoken to by `client`; what this program makes itself lies in `workspace`.
    pub fn new(client: Client, workspace: Layout) -> Sources {
        let told: Told = Arc::new(|_| {});
        let conf = Arc::default();
        Sources { client, conf, told, repositories: Mutex::default(), workspace, layouts: Mutex::default() }
    }

    /// With mirrors and the like; `told` hears which place serves a source.
    pub fn with_mirrors(mut self, conf: Conf, told: Told) -> Sources {
        self.conf = Arc::new(conf);
        self.told = told;
        self
    }

    /// The workspace.
    pub fn workspace(&self) -> &Layout {
        &self.workspace
    }

    /// The client, for what is no image.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn repository(&self, host: &str, name: &str) -> Connection {
        let fresh = || Arc::new(Remembering::new(Mirrored::new(self.client.clone(), self.conf.clone(), host, name, self.told.clone())));
        match self.repositories.lock() {
            Ok(mut known) => known.entry((host.to_owned(), name.to_owned())).or_insert_with(fresh).clone(),
            Err(_) => fresh(),
        }
    }

    fn layout(&self, dir: &str) -> Result<Arc<Layout>, OriginError> {
        let path = Path::new(dir).to_owned();
        if let Some(known) = self.layouts.lock().ok().and_then(|known| known.get(&path).cloned()) {
            return Ok(known);
        }
        let layout = Arc::new(Layout::open(&path)?);
        if let Ok(mut known) = self.layouts.lock() {
            known.insert(path, layout.clone());
        }
        Ok(layout)
    }
}

impl Origins for Sources {
    fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        // Plans record sources as they are written.
        let source = source.clone().settled(&values::is_folder);
        Ok(match &source {
            Source::Registry(reference) => self.repository(&reference.host, &reference.repository),
            Source::Layout { dir, .. } => self.layout(dir)?,
            Source::Made(_) => return self.open_made(None),
        })
    }

    fn open_made(&self, base: Option<&Source>) -> Result<Arc<dyn Origin>, OriginError> {
        let base = base.map(|base| self.open(base)).transpose()?;
        Ok(Arc::new(MadeOrigin::new(self.workspace.clone(), base)))
    }
}
