//! Registries and layouts as the options and the environment say they are to be spoken to.

use super::{Context, options, values};
use crate::error::{Error, Side};
use crate::image_set::Source;
use crate::layout::Layout;
use crate::origin::{MadeOrigin, Origin, OriginError, Origins, Remembering};
use crate::progress::Level;
use crate::registry::certs::CertDirs;
use crate::registry::credentials::{self, AuthFiles, auth_files};
use crate::registry::{Client, Options, Repository};
use crate::unpack::{LayoutTarget, RegistryTarget, Target};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Places where podman, CRI-O and docker keep certificates per host; the user's own first.
const SYSTEM_CERTS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// A client for one side. `verify` is what `--src-tls-verify` or `--dest-tls-verify` says.
///
/// `finishing` is set when requests must pass although the person asked to stop: what has arrived is held.
pub fn client(ctx: &Context, access: &options::Access, verify: Option<bool>, finishing: &Arc<AtomicBool>) -> Result<Client, Error> {
    let environment = &ctx.environment;
    let own_certs = environment.user_config.iter().map(|config| config.join("containers/certs.d"));
    let tls = CertDirs {
        dirs: own_certs.chain(SYSTEM_CERTS.map(PathBuf::from)).collect(),
        ca_files: access.ca_file.iter().cloned().collect(),
        client_cert: access.client_cert.clone(),
        client_key: access.client_key.clone(),
        insecure_hosts: Vec::new(),
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
    let (cancel, finishing, progress) = (ctx.cancel.clone(), finishing.clone(), ctx.progress.clone());
    let options = Options {
        tls: Arc::new(tls),
        credentials: Arc::new(AuthFiles::new(files, helper_path)),
        verify_tls: verify.unwrap_or(true),
        downloads: parallel.unwrap_or(defaults.downloads),
        uploads: parallel.unwrap_or(defaults.uploads),
        cancelled: Arc::new(move || cancel.load(Ordering::Relaxed) && !finishing.load(Ordering::Relaxed)),
        warn: Arc::new(move |line| progress.say(Level::Warning, line)),
        ..defaults
    };
    Client::new(options).map_err(|e| crate::error::source(&e))
}

/// A target, and the prefix of its repositories. A registry is spoken to at once: a wrong name or password is told before anything is
/// done.
pub fn target(ctx: &Context, to: &values::Destination, options: &options::Target) -> Result<(Box<dyn Target>, String), Error> {
    match to {
        values::Destination::Registry { host, prefix } => {
            let finishing = Arc::default();
            let client = client(ctx, &options.access, options.dest_tls_verify, &finishing)?;
            client.repository(host, prefix).ping().map_err(|e| crate::error::target(&e))?;
            Ok((Box::new(RegistryTarget::new(client, host, prefix, finishing)), prefix.clone()))
        }
        values::Destination::Layout(path) => {
            let layout = Layout::create(path).map_err(|e| crate::error::layout(&e, Side::Target))?;
            Ok((Box::new(LayoutTarget::new(layout)), String::new()))
        }
    }
}

/// Repositories by host and name.
type Repositories = HashMap<(String, String), Arc<Remembering<Repository>>>;

/// The sources of a pack: each repository and each layout opened once.
pub struct Sources {
    client: Client,
    repositories: Mutex<Repositories>,
    workspace: Layout,
    layouts: Mutex<HashMap<PathBuf, Arc<Layout>>>,
}

impl Sources {
    /// Sources spoken to by `client`; what this program makes itself lies in `workspace`.
    pub fn new(client: Client, workspace: Layout) -> Sources {
        Sources { client, repositories: Mutex::default(), workspace, layouts: Mutex::default() }
    }

    /// The workspace.
    pub fn workspace(&self) -> &Layout {
        &self.workspace
    }

    /// The client, for what is no image.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn repository(&self, host: &str, name: &str) -> Arc<Remembering<Repository>> {
        let fresh = || Arc::new(Remembering::new(self.client.repository(host, name)));
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
        Ok(match source {
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
