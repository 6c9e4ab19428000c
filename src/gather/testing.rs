//! A world for tests: one registry that is a layout, and documents by address.

use super::{Gathered, HelmSettings, OperatorSettings, ReleaseSettings, World};
use crate::image_set::Source;
use crate::layout::Layout;
use crate::oci::Descriptor;
use crate::origin::{MadeOrigin, Origin, OriginError, Origins};
use crate::pack::{Failure, PackPlan, Wish};
use crate::progress::Silent;
use crate::web::{Get, Web, WebError};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

pub(super) struct Outside {
    pub temp: tempfile::TempDir,
    /// What the registry has; names are `REPOSITORY:TAG`.
    pub far: Layout,
    pub workspace: Layout,
    pub documents: BTreeMap<String, Result<Vec<u8>, WebError>>,
    pub progress: Silent,
}

impl Outside {
    pub fn new() -> Outside {
        let temp = tempfile::tempdir().unwrap();
        let [far, workspace] = ["far", "work"].map(|name| Layout::create(&temp.path().join(name)).unwrap().durable(false));
        Outside { temp, far, workspace, documents: BTreeMap::new(), progress: Silent::new() }
    }

    pub fn world(&self) -> World<'_> {
        World {
            origins: self,
            web: self,
            workspace: &self.workspace,
            progress: &self.progress,
            parallel: 2,
            folder: self.temp.path().to_owned(),
            releases: ReleaseSettings {
                graph_data_url: "https://graph.test/data".into(),
                graph_base: "registry.test/ubi:latest".into(),
                ..ReleaseSettings::default()
            },
            operators: OperatorSettings::default(),
            helm: HelmSettings::default(),
        }
    }

    /// What packing makes of it.
    pub fn plan(&self, gathered: Gathered) -> (PackPlan, Vec<Failure>) {
        let wish = Wish { asks: gathered.asks, documents: gathered.documents, ..Wish::default() };
        let options = crate::pack::Options::default();
        crate::pack::plan(&wish, options, self, 2, |_| String::new(), &self.progress).unwrap()
    }
}

impl Web for Outside {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        self.documents.get(request.url).cloned().unwrap_or_else(|| Err(WebError::NotFound(request.url.into())))
    }
}

impl Origins for Outside {
    fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        match source {
            Source::Layout { dir, .. } => Ok(Arc::new(Layout::open(dir.as_ref())?)),
            _ => Ok(Arc::new(Registry(self.far.clone()))),
        }
    }

    fn open_made(&self, base: Option<&Source>) -> Result<Arc<dyn Origin>, OriginError> {
        let base = base.map(|base| self.open(base)).transpose()?;
        Ok(Arc::new(MadeOrigin::new(self.workspace.clone(), base)))
    }
}

struct Registry(Layout);

impl Origin for Registry {
    fn resolve(&self, source: &Source) -> Result<(crate::digest::Digest, Option<String>), OriginError> {
        let Source::Registry(reference) = source else { return Err(OriginError::NoWorkspace) };
        if let Some(digest) = reference.digest {
            return Ok((digest, None));
        }
        let name = format!("{}:{}", reference.path, reference.tag.clone().unwrap_or_default());
        match self.0.resolve(Some(&name)) {
            Ok(found) => Ok((found.digest, None)),
            Err(_) => Err(OriginError::NoImage { name: reference.name(), tag: reference.tag.clone().unwrap_or_default() }),
        }
    }

    fn manifest(&self, digest: &crate::digest::Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Origin::manifest(&self.0, digest)
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        Origin::open_at(&self.0, blob, offset)
    }
}
