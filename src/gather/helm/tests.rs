//! Repositories on the web, in registries and on disk, through doubles.

use super::*;
use crate::gather::{HelmSettings, OperatorSettings, ReleaseSettings};
use crate::helm::tests::tgz;
use crate::image_set::Helm;
use crate::layout::Layout;
use crate::oci::Descriptor;
use crate::origin::{Origin, OriginError, Origins};
use crate::progress::Silent;
use crate::web::{Get, Web, WebError};
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;

/// A web of a few documents; remembers what was asked, and whether with login.
#[derive(Default)]
struct Pages {
    pages: HashMap<String, Vec<u8>>,
    asked: Mutex<Vec<(String, bool)>>,
}

impl Web for Pages {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        self.asked.lock().unwrap().push((request.url.to_owned(), request.login));
        let page = self.pages.get(request.url).cloned().ok_or_else(|| WebError::NotFound(bare_address(request.url)))?;
        if page.len() as u64 > request.limit {
            return Err(WebError::TooLong { url: request.url.to_owned(), limit: request.limit });
        }
        Ok(page)
    }
}

/// A registry of one repository that is a layout.
struct OneRepository(String, Layout);

struct Named(Layout);

impl Origin for Named {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let Source::Registry(reference) = source else { panic!("{source}") };
        let tag = reference.tag.clone().unwrap();
        let images = self.0.images().unwrap();
        let found = images.iter().find(|image| image.name.as_deref() == Some(&tag));
        found.map(|image| (image.descriptor.digest, None)).ok_or(OriginError::NoImage { name: reference.name(), tag })
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Origin::manifest(&self.0, digest)
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        Origin::open_at(&self.0, blob, offset)
    }

    fn tags(&self) -> Result<Vec<String>, OriginError> {
        Ok(self.0.images().unwrap().into_iter().filter_map(|image| image.name).collect())
    }
}

impl Origins for OneRepository {
    fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        match source {
            Source::Registry(reference) if reference.name() == self.0 => Ok(Arc::new(Named(self.1.clone()))),
            Source::Registry(reference) => Err(OriginError::NoImage { name: reference.name(), tag: String::new() }),
            other => panic!("{other}"),
        }
    }
}

fn archive(name: &str, version: &str, image: &str) -> Vec<u8> {
    let meta = format!("name: {name}\nversion: {version}\n");
    tgz(&[(&format!("{name}/Chart.yaml"), &meta), (&format!("{name}/templates/x.yaml"), &format!("image: {image}\n"))])
}

/// What gathering gives in a world of these pages and this registry.
fn gather(helm: &Helm, web: &Pages, origins: &OneRepository, folder: &std::path::Path) -> Gathered {
    let workspace = Layout::create(&folder.join("workspace")).unwrap();
    let world = World {
        origins,
        web,
        workspace: &workspace,
        progress: &Silent::new(),
        parallel: 2,
        folder: folder.to_owned(),
        releases: ReleaseSettings::default(),
        operators: OperatorSettings::default(),
        helm: HelmSettings::default(),
    };
    charts(helm, &world).unwrap()
}

fn empty_registry(folder: &std::path::Path) -> OneRepository {
    OneRepository("r.test/charts/app".into(), Layout::create(&folder.join("registry")).unwrap())
}

fn repository(url: &str, charts: &[(&str, Option<&str>)]) -> Helm {
    let chart = |(name, version): &(&str, Option<&str>)| Chart {
        name: (*name).to_owned(),
        version: version.map(str::to_owned),
        image_paths: Vec::new(),
        platforms: vec!["linux/amd64".parse().unwrap()],
    };
    let charts = charts.iter().map(chart).collect();
    Helm { repositories: vec![ChartRepository { name: "r".into(), url: url.into(), charts }], local: Vec::new() }
}

fn pages() -> Pages {
    let (one, two) = (archive("app", "1.0.0", "quay.io/app:1"), archive("app", "2.0.0", "quay.io/app:2"));
    let index = format!(
        "apiVersion: v1\nentries:\n  app:\n  - {{version: 2.0.0, digest: {}, urls: [charts/app-2.0.0.tgz]}}\n  \
         - {{version: 1.0.0, digest: 'sha256:{}', urls: ['https://cdn.test/app-1.0.0.tgz']}}\n  \
         - {{version: 3.0.0-rc1, urls: [x.tgz]}}\n  lib:\n  - {{version: 1.0.0, type: library, urls: [lib.tgz]}}\n  \
         wrong:\n  - {{version: 1.0.0, digest: {}, urls: [charts/app-2.0.0.tgz]}}\n  other:\n  - {{version: 1.0.0, urls: [charts/app-2.0.0.tgz]}}\n",
        Digest::sha256(&two).hex(),
        Digest::sha256(&one).hex(),
        "0".repeat(64)
    );
    let pages = HashMap::from([
        ("https://r.test/repo/index.yaml".to_owned(), index.into_bytes()),
        ("https://r.test/repo/charts/app-2.0.0.tgz".to_owned(), two),
        ("https://cdn.test/app-1.0.0.tgz".to_owned(), one),
    ]);
    Pages { pages, asked: Mutex::default() }
}

fn told_as(gathered: &Gathered) -> Vec<String> {
    gathered.asks.iter().map(|ask| format!("{} {:?} {}", ask.source, ask.role, ask.part_of.join("+"))).collect()
}

#[test]
fn a_chart_of_a_repository_with_and_without_trailing_slash() {
    for url in ["https://r.test/repo", "https://r.test/repo/"] {
        let dir = tempfile::tempdir().unwrap();
        let web = pages();
        let gathered = gather(&repository(url, &[("app", None)]), &web, &empty_registry(dir.path()), dir.path());
        assert!(gathered.failures.is_empty(), "{:?}", gathered.failures);
        assert_eq!(told_as(&gathered), ["made:charts/app:2.0.0 Chart chart app 2.0.0", "quay.io/app:2 Helm chart app 2.0.0"]);
        let [chart, image] = gathered.asks.as_slice() else { panic!() };
        assert_eq!((chart.target_repo.as_deref(), chart.target_tag.as_deref()), (Some("charts/app"), Some("2.0.0")));
        assert!(chart.platforms.is_empty() && image.platforms.len() == 1);
        let workspace = Layout::open(&dir.path().join("workspace")).unwrap();
        workspace.manifest(&chart.made.as_ref().unwrap().digest).unwrap();
        assert!(gathered.notes[0].contains("chart app 2.0.0: 1 image"), "{:?}", gathered.notes);
    }
}

#[test]
fn the_login_goes_to_the_repository_alone() {
    let dir = tempfile::tempdir().unwrap();
    let web = pages();
    gather(
        &repository("https://r.test/repo", &[("app", Some("v1.0.0")), ("app", Some("2.0.0"))]),
        &web,
        &empty_registry(dir.path()),
        dir.path(),
    );
    let mut asked = web.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(
        asked,
        [
            ("https://cdn.test/app-1.0.0.tgz".to_owned(), false),
            ("https://r.test/repo/charts/app-2.0.0.tgz".to_owned(), true),
            ("https://r.test/repo/index.yaml".to_owned(), true)
        ]
    );
}

#[test]
fn failures_are_named_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = [("ap", None), ("app", Some("1.0.1")), ("wrong", None), ("other", None), ("app", Some("^1.0"))];
    let gathered = gather(&repository("https://r.test/repo", &wanted), &pages(), &empty_registry(dir.path()), dir.path());
    assert_eq!(told_as(&gathered), ["made:charts/app:1.0.0 Chart chart app 1.0.0", "quay.io/app:1 Helm chart app 1.0.0"]);
    let told: Vec<String> = gathered.failures.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    let has = |words: &str| assert!(told.iter().any(|t| t.contains(words)), "{words}: {told:#?}");
    assert_eq!(told.len(), 4);
    has("has no chart \"ap\"; there is app");
    has("has no version \"1.0.1\"; there is 1.0.0, ");
    has("chart app 1.0.1 of helm repository r (https://r.test/repo)");
    has("its repository's index says sha256:0000");
    has("other 1.0.0 was asked for, the archive is app 2.0.0");
}

#[test]
fn all_charts_but_libraries_where_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let gathered = gather(&repository("https://r.test/repo", &[]), &pages(), &empty_registry(dir.path()), dir.path());
    let made = gathered.asks.iter().filter(|ask| ask.role == Role::Chart).count();
    assert_eq!((made, gathered.failures.len()), (2, 3), "{:?}", gathered.failures);
    assert!(!gathered.failures.iter().any(|(name, _)| name.contains("lib")));
}

#[test]
fn an_index_that_is_none_is_a_failure_of_its_repository() {
    let dir = tempfile::tempdir().unwrap();
    for (page, words) in [
        ("apiVersion: v1", "has no entries"),
        ("entries: [", "is not the index"),
        (&"[".repeat(9000), "nested too deeply"),
        ("<html>", "is not the index"),
    ] {
        let pages = HashMap::from([("https://u:secret@r.test/index.yaml".to_owned(), page.as_bytes().to_vec())]);
        let web = Pages { pages, asked: Mutex::default() };
        let gathered = gather(&repository("https://u:secret@r.test", &[("app", None)]), &web, &empty_registry(dir.path()), dir.path());
        let told = format!("{:?} {}", gathered.failures, gathered.failures.first().map(|f| f.1.to_string()).unwrap_or_default());
        assert!(gathered.failures.len() == 1 && told.contains(words) && !told.contains("secret"), "{told}");
    }
}

#[test]
fn a_chart_in_a_registry_is_carried_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let origins = empty_registry(dir.path());
    let mut digests = HashMap::new();
    for version in ["1.0.0", "1.1.0+up2", "2.0.0-rc1"] {
        let package = Package::read(archive("app", version, &format!("quay.io/app:{}", version.len())), "x").unwrap();
        let artifact = package.artifact(&origins.1).unwrap();
        let size = origins.1.manifest(&artifact.digest).unwrap().len() as u64;
        origins.1.tag(&artifact.tag, &Descriptor::new(crate::oci::media::OCI_MANIFEST, artifact.digest, size)).unwrap();
        digests.insert(version, artifact.digest);
    }
    for (url, version, meant) in [
        ("oci://r.test/charts", None, "1.1.0+up2"),
        ("oci://r.test/charts/", Some("1.0.0"), "1.0.0"),
        ("oci://r.test/charts/app", Some("~1.1"), "1.1.0+up2"),
        ("oci://r.test/charts", Some("v2.0.0-rc1"), "2.0.0-rc1"),
    ] {
        let gathered = gather(&repository(url, &[("app", version)]), &Pages::default(), &origins, dir.path());
        assert!(gathered.failures.is_empty(), "{url} {version:?}: {:?}", gathered.failures);
        let expected = format!("r.test/charts/app:{}@{} Chart chart app {meant}", meant.replace('+', "_"), digests[meant]);
        assert_eq!(told_as(&gathered)[0], expected);
        assert!(gathered.asks[0].made.is_none());
    }
    for (charts, words) in [(&[("app", Some("9.9.9"))][..], "has no version \"9.9.9\"; there is"), (&[], "cannot list its charts")] {
        let gathered = gather(&repository("oci://r.test/charts", charts), &Pages::default(), &origins, dir.path());
        assert!(gathered.failures[0].1.to_string().contains(words), "{:?}", gathered.failures);
    }
}

#[test]
fn charts_on_disk_begin_at_the_folder_of_the_image_set() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("app.tgz"), archive("app", "1.0.0", "quay.io/app:1")).unwrap();
    let local = |path: &str, image_paths: &[&str]| LocalChart {
        name: "mine".into(),
        path: path.into(),
        image_paths: image_paths.iter().map(|p| (*p).to_owned()).collect(),
        platforms: Vec::new(),
    };
    let local = vec![local("app.tgz", &[]), local("none.tgz", &[]), local("app.tgz", &["{.a[}"])];
    let gathered = gather(&Helm { repositories: Vec::new(), local }, &Pages::default(), &empty_registry(dir.path()), dir.path());
    assert_eq!(told_as(&gathered), ["made:charts/app:1.0.0 Chart chart app 1.0.0", "quay.io/app:1 Helm chart app 1.0.0"]);
    assert_eq!(gathered.failures.len(), 2);
    assert_eq!(gathered.failures[0].0, "local chart mine (none.tgz)");
    assert!(gathered.failures[1].1.to_string().contains("imagePaths"), "{:?}", gathered.failures);
}

#[test]
fn a_person_who_stops_gets_no_list_of_failures() {
    let dir = tempfile::tempdir().unwrap();
    let (web, origins) = (pages(), empty_registry(dir.path()));
    let workspace = Layout::create(&dir.path().join("workspace")).unwrap();
    let progress = Silent::new();
    progress.cancel();
    let world = World {
        origins: &origins,
        web: &web,
        workspace: &workspace,
        progress: &progress,
        parallel: 1,
        folder: dir.path().to_owned(),
        releases: ReleaseSettings::default(),
        operators: OperatorSettings::default(),
        helm: HelmSettings::default(),
    };
    assert!(matches!(charts(&repository("https://r.test/repo", &[("app", None)]), &world), Err(GatherError::Interrupted)));
    assert!(web.asked.lock().unwrap().is_empty());
}
