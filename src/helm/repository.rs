//! Chart repositories on the web: `URL/index.yaml` and archives (helm documentation, "The Chart Repository Guide").

use super::chart::metadata;
use super::error::HelmError;
use super::{Package, versions, yaml};
use crate::digest::Digest;
use crate::limits;
use crate::oci::Reference;
use crate::text::{bare_address, shown};
use crate::web::{Get, Web};
use crate::yaml::Bounds;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// A repository whose index was read.
#[derive(Debug)]
pub struct Repository {
    base: Url,
    entries: BTreeMap<String, Vec<Entry>>,
}

/// One version of one chart, as the index says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Chart.
    pub name: String,
    /// Version.
    pub version: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    digest: Option<String>,
    urls: Option<Vec<String>>,
}

/// Where a chart of a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    Web(String),
    /// In a registry (`oci://` in the index).
    Registry(Reference),
}

type Entries = BTreeMap<String, Option<Vec<Option<Entry>>>>;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    entries: Option<Entries>,
}

fn yaml_index(text: &str) -> Result<Index, String> {
    if !crate::yaml::brackets_are_few(text.as_bytes(), yaml::BRACKETS) {
        return Err("it is nested too deeply".into());
    }
    // Aliases multiply what the parser hands out. Nobody writes an index with them: they may double its text, and no more.
    if text.contains('&') {
        let bounds = Bounds { values: 4 * limits::CHART_VALUES, text: 2 * text.len(), brackets: yaml::BRACKETS, any_case: false };
        crate::yaml::parse(text.as_bytes(), bounds).map_err(|e| e.to_string())?;
    }
    serde_yaml::from_str(text).map_err(|e| e.to_string())
}

/// A large index chart by chart, cut at its keys: the parser's memory is ten times a text's length and more. All tools that
/// write indexes write `entries` as a block of indented keys.
fn in_pieces(text: &str) -> Result<Option<Entries>, String> {
    let Some(from) = text.starts_with("entries:").then_some(0).or_else(|| text.find("\nentries:").map(|at| at + 1)) else {
        return Ok(None);
    };
    let block = text.get(from..).and_then(|rest| rest.split_once('\n')).map_or("", |(_, block)| block);
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let skipped = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let width = block.lines().find(|line| !skipped(line)).map_or(0, indent);
    let mut entries = Entries::new();
    let mut piece = String::new();
    let mut take = |piece: &mut String| {
        if piece.len() as u64 > limits::CHART_FILE_BYTES {
            return Err("one of its charts is longer than any real one".to_owned());
        }
        let chart: Index = yaml_index(&format!("entries:\n{piece}"))?;
        entries.extend(chart.entries.into_iter().flatten());
        piece.clear();
        Ok(())
    };
    for line in block.lines().filter(|line| !skipped(line)) {
        if indent(line) < width {
            break;
        }
        if indent(line) == width && !line.trim_start().starts_with('-') && !piece.is_empty() {
            take(&mut piece)?;
        }
        piece.push_str(line);
        piece.push('\n');
    }
    take(&mut piece)?;
    Ok(Some(entries))
}

impl Repository {
    /// Fetches and reads the index.
    ///
    /// # Errors
    /// [`HelmError::Url`], [`HelmError::Index`], or what the web answers.
    pub fn open(url: &str, web: &dyn Web) -> Result<Repository, HelmError> {
        let base = base(url)?;
        let index = base.join("index.yaml").map_err(|_| HelmError::Url(bare_address(url)))?;
        let accept = "application/yaml, text/yaml, */*";
        let bytes = web.get(&Get { url: index.as_str(), accept, limit: limits::CHART_INDEX_BYTES, login: true })?;
        Repository::read(base, &bytes)
    }

    fn read(base: Url, bytes: &[u8]) -> Result<Repository, HelmError> {
        let bad = |why: String| HelmError::Index { url: bare_address(base.as_str()), why: shown(&why).to_string() };
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".into()))?;
        let listed = if text.trim_start().starts_with('{') {
            serde_json::from_str::<Index>(text).map_err(|e| bad(e.to_string()))?.entries
        } else if text.len() as u64 <= limits::CHART_FILE_BYTES {
            yaml_index(text).map_err(bad)?.entries
        } else {
            in_pieces(text).map_err(bad)?
        };
        let listed = listed.ok_or_else(|| bad("it has no entries".into()))?;
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for (name, versions) in listed {
            let mut list: Vec<Entry> = versions.into_iter().flatten().flatten().filter(|e| !e.version.is_empty()).collect();
            list.iter_mut().for_each(|entry| entry.name.clone_from(&name));
            entries.insert(name, list);
        }
        Ok(Repository { base, entries })
    }

    /// The version of a chart that is meant; `None` or empty: the newest stable one. Ranges as helm takes them.
    ///
    /// # Errors
    /// [`HelmError::NoChart`], [`HelmError::NoVersion`] with the nearest.
    pub fn pick(&self, name: &str, version: Option<&str>) -> Result<&Entry, HelmError> {
        let repository = bare_address(self.base.as_str());
        let Some(entries) = self.entries.get(name) else {
            let near = nearest(self.entries.keys().map(String::as_str), name);
            return Err(HelmError::NoChart { repository, name: name.to_owned(), near });
        };
        let there: Vec<&str> = entries.iter().map(|e| e.version.as_str()).collect();
        let wanted = version.unwrap_or_default();
        let picked = versions::pick(&there, wanted).and_then(|v| entries.iter().find(|e| e.version == v));
        let missing =
            || HelmError::NoVersion { repository, name: name.to_owned(), wanted: wanted.to_owned(), near: versions::near(&there, wanted) };
        picked.ok_or_else(missing)
    }

    /// All versions of all charts that are no libraries, each once, sorted.
    pub fn all(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.values().flatten().filter(|e| e.kind.as_deref() != Some("library")).collect();
        all.sort_by(|a, b| (&a.name, versions::parse(&a.version), &a.version).cmp(&(&b.name, versions::parse(&b.version), &b.version)));
        all.dedup_by(|a, b| a.name == b.name && a.version == b.version);
        all
    }

    /// Where an entry's archive is; relative addresses begin at the repository.
    ///
    /// # Errors
    /// [`HelmError::Url`].
    pub fn place(&self, entry: &Entry) -> Result<Place, HelmError> {
        let url = entry.urls.iter().flatten().next().map(String::as_str).unwrap_or_default();
        let bad = || HelmError::Url(bare_address(url));
        if let Some(reference) = url.strip_prefix("oci://") {
            let mut reference = Reference::parse(reference).map_err(|_| bad())?;
            if reference.tag.is_none() && reference.digest.is_none() {
                reference.tag = Some(super::tag_of(&entry.version));
            }
            return Ok(Place::Registry(reference));
        }
        let mut joined = self.base.join(url).map_err(|_| bad())?;
        // Written out or not, it is the same place: the login in the repository's address is for it too.
        if joined.origin() == self.base.origin() && joined.username().is_empty() && joined.password().is_none() {
            joined.set_username(self.base.username()).and_then(|()| joined.set_password(self.base.password())).map_err(|()| bad())?;
        }
        let usable = matches!(joined.scheme(), "http" | "https") && !url.is_empty();
        if usable { Ok(Place::Web(joined.into())) } else { Err(bad()) }
    }

    /// Fetches an archive that is on the web, proves the index's digest and reads it.
    ///
    /// # Errors
    /// [`HelmError::Digest`], [`HelmError::Other`], and all that [`Package::read`] finds.
    pub fn fetch(&self, entry: &Entry, url: &str, web: &dyn Web) -> Result<Package, HelmError> {
        // An index may name any host: the repository's login is for the repository alone.
        let login = Url::parse(url).is_ok_and(|url| url.origin() == self.base.origin());
        let bytes = web.get(&Get { url, accept: "*/*", limit: limits::CHART_BYTES, login })?;
        let shown_url = bare_address(url);
        if let Some(expected) = entry.digest.as_deref().and_then(promised) {
            let found = Digest::sha256(&bytes);
            if found != expected {
                return Err(HelmError::Digest { url: shown_url, expected, found });
            }
        }
        let package = Package::read(bytes, &shown_url)?;
        let (name, version) = (package.metadata().name(), package.metadata().version());
        let same = name == entry.name && version.trim_start_matches('v') == entry.version.trim_start_matches('v');
        let asked = format!("{} {}", shown(&entry.name), shown(&entry.version));
        if same { Ok(package) } else { Err(HelmError::Other { asked, found: package.title() }) }
    }
}

/// The index writes the hexadecimal digits alone; some tools write the algorithm before them. What is neither promises nothing.
fn promised(text: &str) -> Option<Digest> {
    text.parse().or_else(|_| format!("sha256:{text}").parse()).ok().filter(|d: &Digest| d.algorithm() == crate::digest::Algorithm::Sha256)
}

/// The address with a slash at its end: without it the last word would be replaced by what is joined.
fn base(url: &str) -> Result<Url, HelmError> {
    let bad = || HelmError::Url(bare_address(url));
    let mut base = Url::parse(url).map_err(|_| bad())?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(bad());
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

/// Names alike, the most alike first.
pub(super) fn nearest<'n>(names: impl Iterator<Item = &'n str>, wanted: &str) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let unlike = |name: &str| {
        let name = name.to_lowercase();
        let common = name.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
        let part = name.contains(&wanted) || wanted.contains(&name);
        (!part, std::cmp::Reverse(common))
    };
    let mut names: Vec<&str> = names.collect();
    names.sort_by_cached_key(|name| unlike(name));
    names.into_iter().take(5).map(str::to_owned).collect()
}

/// `Chart.yaml` of an artifact's configuration is JSON, which is YAML.
pub(super) fn check_config(bytes: &[u8]) -> bool {
    metadata(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Repository, HelmError> {
        Repository::read(base("https://r.test/x").unwrap(), text.as_bytes())
    }

    #[test]
    fn a_large_index_is_read_chart_by_chart() {
        let version = |v: usize| {
            format!("  - apiVersion: v2\n    version: 1.0.{v}\n    description: 'it''s {{ [ long'\n    urls:\n    - a-1.0.{v}.tgz\n")
        };
        let mut text = String::from("apiVersion: v1\nentries:\n");
        for chart in 0..60 {
            text.push_str(&format!("  # words\n  chart{chart}:\n"));
            (0..1000).for_each(|v| text.push_str(&version(v)));
        }
        text.push_str("generated: now\n");
        assert!(text.len() as u64 > limits::CHART_FILE_BYTES);
        let repository = read(&text).unwrap();
        assert_eq!(repository.all().len(), 60_000);
        let entry = repository.pick("chart7", None).unwrap();
        assert_eq!(entry.version, "1.0.999");
        assert_eq!(repository.place(entry).unwrap(), Place::Web("https://r.test/x/a-1.0.999.tgz".into()));
    }

    #[test]
    fn an_index_whose_aliases_multiply_is_refused_and_one_with_an_ampersand_is_read() {
        let long = "x".repeat(1 << 20);
        let text = format!("entries:\n  a:\n  - {{version: &a {long}}}\n{}", "  - {version: *a}\n".repeat(100_000));
        assert!(matches!(read(&text), Err(HelmError::Index { why, .. }) if why.contains("aliases")));
        let text = "entries:\n  a:\n  - {version: 1.10, description: R&D, urls: &u [a.tgz]}\n  - {version: 1.9, urls: *u}\n";
        let repository = read(text).unwrap();
        assert_eq!(repository.pick("a", None).unwrap().version, "1.10");
    }

    #[test]
    fn a_large_index_of_nothing_but_events_is_refused() {
        let text = format!("entries:\n  a: [{}]\n", "a,".repeat(4 << 20));
        assert!(matches!(read(&text), Err(HelmError::Index { .. })));
        let text = format!("{}\nentries:\n  a: []\n", "# x\n".repeat(2 << 20));
        assert!(read(&text).unwrap().all().is_empty());
    }

    /// A web that has the same document everywhere.
    struct Everywhere(Vec<u8>);

    impl Web for Everywhere {
        fn get(&self, _: &Get<'_>) -> Result<Vec<u8>, crate::web::WebError> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn an_address_that_opens_by_itself_is_not_repeated_in_errors() {
        let text = format!("entries: {{a: [{{version: 1.0.0, digest: {}, urls: ['https://cdn.test/a.tgz?sig=s3cret']}}]}}", "0".repeat(64));
        let repository = read(&text).unwrap();
        let entry = repository.pick("a", None).unwrap();
        let Place::Web(url) = repository.place(entry).unwrap() else { panic!() };
        let wrong = repository.fetch(entry, &url, &Everywhere(b"x".to_vec())).unwrap_err();
        let promised_nothing = Entry { digest: None, ..entry.clone() };
        let no_chart = repository.fetch(&promised_nothing, &url, &Everywhere(b"x".to_vec())).unwrap_err();
        for error in [wrong, no_chart] {
            assert!(error.to_string().contains("https://cdn.test/a.tgz") && !error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_login_of_a_repository_is_for_all_of_it_and_nothing_else() {
        let repository = Repository::read(base("https://al:s3cret@r.test/x").unwrap(), b"entries: {}").unwrap();
        let at = |url: &str| repository.place(&Entry { urls: Some(vec![url.to_owned()]), ..Entry::default() }).unwrap();
        for own in ["a.tgz", "https://r.test/x/a.tgz"] {
            assert_eq!(at(own), Place::Web("https://al:s3cret@r.test/x/a.tgz".into()));
        }
        for other in ["https://cdn.test/a.tgz", "http://r.test/x/a.tgz", "https://r.test:8443/a.tgz"] {
            assert_eq!(at(other), Place::Web(other.into()));
        }
    }

    #[test]
    fn where_archives_are() {
        let repository = read("entries: {a: [{version: 1.0.0+x, urls: [URL]}]}").unwrap();
        let at = |url: &str| {
            let entry = Entry { version: "1.0.0+x".into(), urls: Some(vec![url.to_owned()]), ..Entry::default() };
            repository.place(&entry).map(|place| match place {
                Place::Web(url) => url,
                Place::Registry(reference) => format!("oci {reference}"),
            })
        };
        assert_eq!(at("a.tgz").unwrap(), "https://r.test/x/a.tgz");
        assert_eq!(at("/a.tgz").unwrap(), "https://r.test/a.tgz");
        assert_eq!(at("http://cdn.test/a.tgz?x=1").unwrap(), "http://cdn.test/a.tgz?x=1");
        assert_eq!(at("oci://r.test/charts/a").unwrap(), "oci r.test/charts/a:1.0.0_x");
        for bad in ["file:///etc/passwd", "", "oci://", "data:x"] {
            assert!(at(bad).is_err(), "{bad}");
        }
        assert!(base("ftp://r.test").is_err() && base("r.test/x").is_err());
    }
}
