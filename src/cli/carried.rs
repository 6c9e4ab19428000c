//! What a set carries, in the words of those who asked for it: releases, operators, charts. Four hundred names of images tell
//! nobody at the gate which release lies on the disc.

use super::Context;
use crate::archive::OpenSet;
use crate::format::{Completeness, Document, DocumentKind, Image, Missing, Receipt, ReceiptImage, Role};
use crate::text::{counted, shown};
use crate::unpack::DoneImage;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Lists of more images than this are printed only when asked for.
pub const IMAGES_LISTED: usize = 40;
/// Versions of an operator that are named one by one.
const VERSIONS_NAMED: usize = 6;

/// One image, as far as it matters here.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// What it is for.
    pub role: Role,
    /// What needs it.
    pub part_of: &'a [String],
    /// Repository at the target, below the prefix.
    pub repository: &'a str,
    /// Tag there.
    pub tag: &'a str,
}

impl<'a> From<&'a Image> for Part<'a> {
    fn from(image: &'a Image) -> Part<'a> {
        Part { role: image.role, part_of: &image.part_of, repository: &image.repository, tag: &image.tag }
    }
}

impl<'a> From<&'a ReceiptImage> for Part<'a> {
    fn from(image: &'a ReceiptImage) -> Part<'a> {
        Part { role: image.role, part_of: &image.part_of, repository: &image.repository, tag: &image.tag }
    }
}

/// What is carried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// Releases, `4.16.3-x86_64`, with the number of their images.
    pub releases: BTreeMap<String, usize>,
    /// Catalogs, `repository:tag` at the target.
    pub catalogs: BTreeSet<String>,
    /// Packages of catalogs.
    pub operators: Vec<Operator>,
    /// Charts, `NAME VERSION`, with the number of their images.
    pub charts: BTreeMap<String, usize>,
    /// Images with the data of the update graph.
    pub graphs: BTreeSet<String>,
    /// Images asked for by name.
    pub by_name: usize,
    /// Referrers of images: signatures, attestations, SBOMs.
    pub referrers: usize,
    /// OpenPGP signatures of releases.
    pub release_signatures: usize,
    /// OpenPGP signatures of images, from lookasides.
    pub image_signatures: usize,
    /// CatalogSource templates.
    pub templates: usize,
    /// Update graphs, by channel and architecture.
    pub update_graphs: Vec<String>,
    /// What whoever uses the images should know.
    pub notes: Vec<String>,
}

/// One package of a catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// Where the catalog came from.
    pub catalog: String,
    /// The package.
    pub package: String,
    /// Versions of its bundles, the lowest first.
    pub versions: Vec<String>,
    /// Images, bundles among them.
    pub images: usize,
}

impl Carried {
    /// Sorts images and documents by what they are part of.
    pub fn of<'a>(images: impl IntoIterator<Item = impl Into<Part<'a>>>, documents: &[Document]) -> Carried {
        let mut carried = Carried::default();
        let mut operators: BTreeMap<(String, String), (BTreeSet<Version>, usize)> = BTreeMap::new();
        for image in images {
            let image = image.into();
            carried.roles(&image);
            let mut seen = BTreeSet::new();
            for word in image.part_of {
                let parts: Vec<&str> = word.split(' ').collect();
                match parts.as_slice() {
                    ["release", release, ..] if seen.insert((*release, "")) => {
                        *carried.releases.entry((*release).to_owned()).or_default() += usize::from(image.role != Role::Referrer);
                    }
                    ["operator", catalog, package, _, version] => {
                        let known = operators.entry(((*catalog).to_owned(), (*package).to_owned())).or_default();
                        known.0.insert(Version::of(version));
                        known.1 += usize::from(seen.insert((*catalog, *package)));
                    }
                    ["chart", name, version] => {
                        *carried.charts.entry(format!("{name} {version}")).or_default() += usize::from(image.role != Role::Chart);
                    }
                    _ => {}
                }
            }
        }
        let operator = |((catalog, package), (versions, images)): ((String, String), (BTreeSet<Version>, usize))| Operator {
            catalog,
            package,
            versions: versions.into_iter().map(|v| v.text).collect(),
            images,
        };
        carried.operators = operators.into_iter().map(operator).collect();
        for document in documents {
            match document.kind {
                DocumentKind::ReleaseSignature => carried.release_signatures += 1,
                DocumentKind::CatalogTemplate => carried.templates += 1,
                DocumentKind::ImageSignature => carried.image_signatures += 1,
                DocumentKind::UpdateGraph => carried.update_graphs.push(document.name.clone()),
                DocumentKind::Note => carried.notes.extend(notes(document)),
            }
        }
        carried
    }

    fn roles(&mut self, image: &Part<'_>) {
        let name = || format!("{}:{}", image.repository, image.tag);
        match image.role {
            Role::Catalog => drop(self.catalogs.insert(name())),
            Role::Graph => drop(self.graphs.insert(name())),
            Role::Image => self.by_name += 1,
            Role::Referrer => self.referrers += 1,
            Role::Release | Role::ReleaseContent | Role::KubeVirt | Role::Bundle | Role::Related | Role::Helm | Role::Chart => {}
        }
    }

    /// One line for each thing that was asked for; none where images were asked for by name and nothing else.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.releases.iter().map(|(name, n)| format!("release {name}: {}", images(*n))).collect();
        lines.extend(self.graphs.iter().map(|name| format!("update graph data: {name}")));
        lines.extend(self.catalogs.iter().map(|name| format!("catalog {name}")));
        for operator in &self.operators {
            let versions = match operator.versions.as_slice() {
                [first, .., last] if operator.versions.len() > VERSIONS_NAMED => {
                    format!("{} versions from {first} to {last}", operator.versions.len())
                }
                some => some.join(", "),
            };
            lines.push(format!("operator {} of {}: {versions}; {}", operator.package, operator.catalog, images(operator.images)));
        }
        lines.extend(self.charts.iter().map(|(name, n)| format!("chart {name}: {}", images(*n))));
        if lines.is_empty() {
            return self.signatures().into_iter().collect();
        }
        if self.by_name > 0 {
            lines.push(format!("by name: {}", images(self.by_name)));
        }
        if self.referrers > 0 {
            lines.push(format!("referrers (signatures, attestations, SBOMs): {}", self.referrers));
        }
        if self.release_signatures > 0 {
            lines.push(format!("release signatures, for the cluster: {}", self.release_signatures));
        }
        lines.extend(self.signatures());
        if self.templates > 0 {
            lines.push(format!("CatalogSource templates: {}", self.templates));
        }
        if !self.update_graphs.is_empty() {
            lines.push(format!("update graphs: {}", self.update_graphs.join(", ")));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }

    fn signatures(&self) -> Option<String> {
        (self.image_signatures > 0).then(|| format!("OpenPGP signatures of images, from lookasides: {}", self.image_signatures))
    }

    /// Prints them.
    pub fn told(&self, ctx: &Context) {
        self.lines().iter().for_each(|line| ctx.output.line(line));
    }
}

/// How many of an image's referrers are in, where it has any.
fn about(image: &DoneImage) -> String {
    match image.referrers.of {
        0 => String::new(),
        of => format!(", {} of {}", image.referrers.here, counted(of, "referrer")),
    }
}

/// The lines of a note, as they may be shown.
fn notes(document: &Document) -> Vec<String> {
    let bytes = document.bytes();
    String::from_utf8_lossy(&bytes).lines().map(|line| shown(line).to_string()).collect()
}

/// What is not in a set although it was asked for, and what there is to know about what is.
pub fn tell_warnings(set: &OpenSet, ctx: &Context) {
    set.index().missing.iter().for_each(|missing| ctx.output.warn(&not_in_the_set(missing)));
    let documents = set.contents().documents.iter().filter(|document| document.kind == DocumentKind::Note);
    documents.flat_map(notes).for_each(|note| ctx.output.warn(&note));
}

/// One thing that was asked for and is not there.
pub fn not_in_the_set(missing: &Missing) -> String {
    let Missing { name, code, reason } = missing;
    let reason = reason.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(reason);
    format!("NOT in the set: {name} ({code}: {reason})")
}

fn images(number: usize) -> String {
    counted(number, "image")
}

/// The images that are in at a target: each, or where they are many what they belong to. Whole indexes are told by digest; what is
/// less than that is told in any case.
pub fn tell_done(done: &[DoneImage], receipt: &Receipt, ctx: &Context) {
    let all = done.len() <= IMAGES_LISTED || ctx.verbose;
    for image in done {
        let how = if image.was_there { "was there" } else { "pushed" };
        let name = format!("{how}: {}:{}", image.repository, image.tag);
        match &image.completeness {
            Completeness::SingleMember { member } => {
                ctx.output.line(&format!("{name} {member} alone: the target takes no index without all its members"));
            }
            Completeness::Full | Completeness::Sparse if all => ctx.output.line(&format!("{name} {}{}", image.digest, about(image))),
            Completeness::Full | Completeness::Sparse => {}
        }
    }
    if !all {
        let lines = Carried::of(&receipt.images, &[]).lines();
        lines.iter().for_each(|line| ctx.output.line(&format!("is in: {line}")));
        ctx.output.line("-v lists every image");
    }
}

/// In order of versions; what is none stands first, in order of letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    version: Option<semver::Version>,
    text: String,
}

impl Version {
    fn of(text: &str) -> Version {
        Version { version: semver::Version::parse(text).ok(), text: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(role: Role, name: &'a str, part_of: &'a [String]) -> Part<'a> {
        let (repository, tag) = name.split_once(':').unwrap();
        Part { role, part_of, repository, tag }
    }

    #[test]
    fn a_person_at_the_gate_reads_releases_operators_and_charts() {
        let release = ["release 4.16.3-x86_64".to_owned(), "release 4.16.4-x86_64".to_owned()];
        let component = ["release 4.16.3-x86_64 etcd".to_owned(), "release 4.16.3-x86_64 etcd-copy".to_owned()];
        let bundles: Vec<String> = [10, 9, 1].map(|minor| format!("operator r.test/index:v4 web web.v1.{minor}.0 1.{minor}.0")).into();
        let chart = ["chart podinfo 5.0.0".to_owned()];
        let parts = [
            part(Role::Release, "openshift/release-images:4.16.3-x86_64", &release[..1]),
            part(Role::ReleaseContent, "openshift/release:4.16.3-x86_64-etcd", &component),
            part(Role::Release, "openshift/release-images:4.16.4-x86_64", &release[1..]),
            part(Role::Referrer, "openshift/release:sha256-x.sig", &component),
            part(Role::Catalog, "redhat/index:v4", &[]),
            part(Role::Bundle, "o/web:1", &bundles),
            part(Role::Chart, "podinfo:5.0.0", &chart),
            part(Role::Helm, "x/podinfo:5", &chart),
            part(Role::Image, "team/app:1", &[]),
        ];
        let told = b"the update from 4.16.3 is conditional\x1b[2J\nanother";
        let documents =
            [Document::new(DocumentKind::ReleaseSignature, "sha256-00-1", b"x"), Document::new(DocumentKind::Note, "updates amd64", told)];
        assert_eq!(
            Carried::of(parts, &documents).lines(),
            [
                "release 4.16.3-x86_64: 2 images",
                "release 4.16.4-x86_64: 1 image",
                "catalog redhat/index:v4",
                "operator web of r.test/index:v4: 1.1.0, 1.9.0, 1.10.0; 1 image",
                "chart podinfo 5.0.0: 1 image",
                "by name: 1 image",
                "referrers (signatures, attestations, SBOMs): 1",
                "release signatures, for the cluster: 1",
                r"note: the update from 4.16.3 is conditional\u{1b}[2J",
                "note: another",
            ]
        );
        assert_eq!(Carried::of(parts.into_iter().skip(8), &[]).lines(), Vec::<String>::new());
    }
}
