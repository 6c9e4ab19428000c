//! The grammar: which members stand where, and of what type. Rules between values are in [`super::check`].

use super::check;
use super::error::{Fault, Kind, Note, Problem};
use super::model::*;
use super::shape::{At, Members, Names};
use super::{Blocked, Source, size};
use crate::oci::{Platform, Reference};
use crate::yaml::{Node, Value};

const TOP: Names = Names { known: &["apiVersion", "kind", "archiveSize", "mirror", "delete"], old: &["storageConfig", "metadata"] };
const TOP_DELETE: Names = Names { known: &["apiVersion", "kind", "mirror", "delete"], old: &["storageConfig", "metadata"] };
const MIRROR: Names =
    Names { known: &["platform", "operators", "additionalImages", "helm", "blockedImages", "samples"], old: &["ocp", "version"] };
const DELETE: Names = Names { known: &["platform", "operators", "additionalImages", "helm", "samples"], old: &[] };
const PLATFORM: Names =
    Names { known: &["graph", "channels", "architectures", "platforms", "release", "kubeVirtContainer"], old: &["versions"] };
const CHANNEL: Names = Names { known: &["name", "type", "minVersion", "maxVersion", "shortestPath", "full"], old: &["versions"] };
const PAIR: Names = Names { known: &["os", "architecture"], old: &[] };
const OPERATOR: Names = Names {
    known: &["catalog", "full", "packages", "targetCatalog", "targetTag", "targetCatalogSourceTemplate", "skipDependencies", "platforms"],
    old: &["targetName", "originalRef", "headsOnly"],
};
const PACKAGE: Names = Names {
    known: &["name", "channels", "defaultChannel", "minVersion", "maxVersion", "bundles", "minBundle"],
    old: &["startingVersion", "startingBundle", "versions"],
};
const PACKAGE_CHANNEL: Names =
    Names { known: &["name", "minVersion", "maxVersion", "minBundle"], old: &["startingVersion", "startingBundle", "versions"] };
const IMAGE: Names = Names { known: &["name", "targetRepo", "targetTag", "platforms"], old: &[] };
const HELM: Names = Names { known: &["repositories", "local"], old: &[] };
const REPOSITORY: Names = Names { known: &["name", "url", "charts"], old: &[] };
const CHART: Names = Names { known: &["name", "version", "imagePaths", "platforms"], old: &[] };
const LOCAL: Names = Names { known: &["name", "path", "imagePaths", "platforms"], old: &[] };
const NAMED: Names = Names { known: &["name"], old: &[] };

/// Reads a tree and gathers what should be said about it.
#[derive(Default)]
pub(super) struct Reader {
    notes: Vec<Note>,
}

impl Reader {
    pub(super) fn notices(self) -> Vec<Note> {
        self.notes
    }

    /// Notes something once: finding a line costs a walk through the document, so a hostile file must not ask for many.
    pub(super) fn note(&mut self, at: &At<'_>, text: &'static str) {
        match self.notes.iter_mut().find(|note| note.text == text) {
            Some(note) => note.times += 1,
            None => self.notes.push(Note { place: at.node.place, field: at.path.clone(), text, times: 1 }),
        }
    }

    pub(super) fn image_set(&mut self, root: &Node) -> Result<ImageSet, Fault> {
        let (top, mirror) = self.section(root, Kind::Mirror)?;
        let mirror = mirror.members(&MIRROR)?;
        Ok(ImageSet {
            archive_size: self.archive_size(&top)?,
            platform: self.platform(&mirror)?,
            operators: self.operators(&mirror)?,
            additional_images: self.additional_images(&mirror)?,
            helm: self.helm(&mirror)?,
            blocked: self.blocked(&mirror)?,
            samples: self.samples(&mirror)?,
        })
    }

    pub(super) fn delete_set(&mut self, root: &Node) -> Result<DeleteSet, Fault> {
        let (_, delete) = self.section(root, Kind::Delete)?;
        let delete = delete.members(&DELETE)?;
        Ok(DeleteSet {
            platform: self.platform(&delete)?,
            operators: self.operators(&delete)?,
            additional_images: self.additional_images(&delete)?,
            helm: self.helm(&delete)?,
            samples: self.samples(&delete)?,
        })
    }

    /// The head of the file: `kind` decides, `apiVersion` does not (nor does it for oc-mirror).
    fn section<'a>(&mut self, root: &'a Node, wanted: Kind) -> Result<(Members<'a>, At<'a>), Fault> {
        let root = At { node: root, path: String::new() };
        if matches!(root.node.value, Value::Null) {
            return Err(root.fault(Problem::Empty));
        }
        let found = kind_of(&root)?;
        if found != wanted {
            return Err(root.fault(Problem::OtherKind { found, wanted }));
        }
        let (names, other) = match wanted {
            Kind::Mirror => (&TOP, "delete"),
            Kind::Delete => (&TOP_DELETE, "mirror"),
        };
        let top = root.members(names)?;
        if top.place_of(other).is_some() {
            return Err(top.fault(other, Problem::OtherSection(wanted)));
        }
        match top.text("apiVersion")? {
            Some((version, _)) if version == "mirror.openshift.io/v2alpha1" => {}
            Some((_, at)) => self.note(&at, "another apiVersion than mirror.openshift.io/v2alpha1: the file is read as v2alpha1"),
            None => self.note(&root, "apiVersion is not given: the file is read as mirror.openshift.io/v2alpha1"),
        }
        let section = top.get(wanted.section()).ok_or_else(|| top.fault(wanted.section(), Problem::Missing))?;
        Ok((top, section))
    }

    fn archive_size(&mut self, top: &Members<'_>) -> Result<Option<u64>, Fault> {
        let Some(at) = top.get("archiveSize") else { return Ok(None) };
        let gib = at.integer()?;
        if gib == 0 {
            return Ok(None);
        }
        let bytes = u64::try_from(gib).map_err(|_| at.fault(Problem::ArchiveSize(gib)))?.saturating_mul(1 << 30);
        let (bytes, clamped) = size::volume_size(bytes);
        if clamped {
            self.note(
                &at,
                "volumes are at most 4294967295 bytes (one byte less than 4 GiB), so that every medium takes them: that size is used",
            );
        }
        Ok(Some(bytes))
    }

    fn platform(&mut self, section: &Members<'_>) -> Result<Option<Releases>, Fault> {
        let Some(at) = section.get("platform") else { return Ok(None) };
        let members = at.members(&PLATFORM)?;
        let mut channels = Vec::new();
        let items = members.items("channels")?;
        for item in &items {
            channels.push(self.channel(item)?);
        }
        check::unique(items.iter().zip(channels.iter().map(|c: &Channel| c.name.clone())))?;
        let releases = Releases {
            graph: members.boolean("graph")?,
            channels,
            architectures: members.items("architectures")?.iter().map(check::architecture).collect::<Result<_, _>>()?,
            platforms: platforms(&members)?,
            release: release(&members)?,
            kube_virt_container: members.boolean("kubeVirtContainer")?,
        };
        if !releases.architectures.is_empty() && !releases.platforms.is_empty() {
            return Err(members.fault("architectures", Problem::PlatformsAndArchitectures));
        }
        Ok(Some(releases))
    }

    fn channel(&mut self, at: &At<'_>) -> Result<Channel, Fault> {
        let members = at.members(&CHANNEL)?;
        let channel_type = match members.text("type")? {
            Some((text, _)) if text == "okd" => ChannelType::Okd,
            Some((text, _)) if text == "ocp" => ChannelType::Ocp,
            Some((_, at)) => {
                self.note(&at, "the type is neither ocp nor okd: it is read as ocp");
                ChannelType::Ocp
            }
            None => ChannelType::default(),
        };
        Ok(Channel {
            name: members.required("name")?.0,
            channel_type,
            range: check::range(self, &members)?,
            shortest_path: members.boolean("shortestPath")?,
            full: members.boolean("full")?,
        })
    }

    fn operators(&mut self, section: &Members<'_>) -> Result<Vec<Operator>, Fault> {
        let items = section.items("operators")?;
        let mut operators = Vec::new();
        for item in &items {
            operators.push(self.operator(item)?);
        }
        check::unique(items.iter().zip(operators.iter().map(check::catalog_name)))?;
        Ok(operators)
    }

    fn operator(&mut self, at: &At<'_>) -> Result<Operator, Fault> {
        let members = at.members(&OPERATOR)?;
        let (catalog, source) = image(&members, "catalog")?;
        if let Some(at) = members.get("skipDependencies") {
            self.note(&at, "skipDependencies has no effect: dependencies are added with --with-dependencies only");
        }
        let mut packages = Vec::new();
        let items = members.items("packages")?;
        for item in &items {
            packages.push(self.package(item)?);
        }
        check::unique(items.iter().zip(packages.iter().map(|p: &Package| p.name.clone())))?;
        let full = members.boolean("full")?;
        if full && packages.iter().any(check::has_range) {
            self.note(at, "full: true together with a version range is refused when the catalog is filtered");
        }
        Ok(Operator {
            catalog,
            source,
            full,
            packages,
            target_catalog: check::repository(&members, "targetCatalog")?,
            target_tag: check::tag(&members, "targetTag")?,
            target_catalog_source_template: members.plain("targetCatalogSourceTemplate")?,
            skip_dependencies: members.boolean("skipDependencies")?,
            platforms: platforms(&members)?,
        })
    }

    fn package(&mut self, at: &At<'_>) -> Result<Package, Fault> {
        let members = at.members(&PACKAGE)?;
        self.min_bundle(&members)?;
        let mut bundles = Vec::new();
        for item in members.items("bundles")? {
            bundles.push(item.members(&NAMED)?.required("name")?.0);
            self.note(&item, "bundles is obsolete (4.16 and 4.17 only) and not acted upon: use channels and versions");
        }
        let mut channels = Vec::new();
        let items = members.items("channels")?;
        for item in &items {
            let members = item.members(&PACKAGE_CHANNEL)?;
            self.min_bundle(&members)?;
            channels.push(PackageChannel { name: members.required("name")?.0, range: check::range(self, &members)? });
        }
        check::unique(items.iter().zip(channels.iter().map(|c: &PackageChannel| c.name.clone())))?;
        let package = Package {
            name: members.required("name")?.0,
            channels,
            default_channel: members.plain("defaultChannel")?,
            range: check::range(self, &members)?,
            bundles,
        };
        if !package.range.is_open() && package.channels.iter().any(|channel| !channel.range.is_open()) {
            return Err(at.fault(Problem::TwoRanges));
        }
        Ok(package)
    }

    fn min_bundle(&mut self, members: &Members<'_>) -> Result<(), Fault> {
        if let Some((_, at)) = members.text("minBundle")? {
            self.note(&at, "minBundle is obsolete and has no effect: use minVersion");
        }
        Ok(())
    }

    fn additional_images(&mut self, section: &Members<'_>) -> Result<Vec<AdditionalImage>, Fault> {
        let read = |item: &At<'_>| {
            let members = item.members(&IMAGE)?;
            let (name, source) = image(&members, "name")?;
            Ok(AdditionalImage {
                name,
                source,
                target_repo: check::repository(&members, "targetRepo")?,
                target_tag: check::tag(&members, "targetTag")?,
                platforms: platforms(&members)?,
            })
        };
        section.items("additionalImages")?.iter().map(read).collect()
    }

    fn helm(&mut self, section: &Members<'_>) -> Result<Helm, Fault> {
        let Some(at) = section.get("helm") else { return Ok(Helm::default()) };
        let members = at.members(&HELM)?;
        Ok(Helm {
            repositories: members.items("repositories")?.iter().map(chart_repository).collect::<Result<_, _>>()?,
            local: members.items("local")?.iter().map(local_chart).collect::<Result<_, _>>()?,
        })
    }

    fn blocked(&mut self, section: &Members<'_>) -> Result<Blocked, Fault> {
        let mut patterns = Vec::new();
        let items = section.items("blockedImages")?;
        for item in &items {
            let (pattern, at) = item.members(&NAMED)?.required("name")?;
            Blocked::check(&pattern).map_err(|problem| at.fault(problem))?;
            patterns.push(pattern);
        }
        let Some(list) = section.get("blockedImages") else { return Ok(Blocked::default()) };
        Blocked::new(patterns).map_err(|problem| list.fault(problem))
    }

    fn samples(&mut self, section: &Members<'_>) -> Result<Vec<String>, Fault> {
        let items = section.items("samples")?;
        let names = items.iter().map(|item| item.members(&NAMED)?.required("name").map(|(name, _)| name)).collect::<Result<_, _>>()?;
        if let Some(first) = items.first() {
            self.note(first, "samples are read but not carried: name their images in additionalImages");
        }
        Ok(names)
    }
}

/// `kind`, before anything else is judged: a delete configuration is called by its name, not by its unknown members.
fn kind_of(root: &At<'_>) -> Result<Kind, Fault> {
    let Value::Map(entries) = &root.node.value else { return root.members(&TOP).and(Err(root.fault(Problem::Empty))) };
    let entry = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case("kind"));
    let Some(entry) = entry else {
        return Err(Fault { place: root.node.place, field: "kind".to_owned(), problem: Problem::Missing, earlier: None });
    };
    let at = At { node: &entry.node, path: "kind".to_owned() };
    match at.word()?.as_str() {
        "ImageSetConfiguration" => Ok(Kind::Mirror),
        "DeleteImageSetConfiguration" => Ok(Kind::Delete),
        other => Err(at.fault(Problem::UnknownKind(other.to_owned()))),
    }
}

/// An image that must be named by tag or digest, or a layout.
fn image(members: &Members<'_>, name: &'static str) -> Result<(String, Source), Fault> {
    let (text, at) = members.required(name)?;
    match Source::parse(&text) {
        Ok(source) => Ok((text, source)),
        Err(super::SourceError::NoTagNorDigest(_)) => Err(at.fault(Problem::NoTagNorDigest(text))),
        Err(other) => Err(at.fault(Problem::Reference(other.to_string()))),
    }
}

fn release(members: &Members<'_>) -> Result<Option<Reference>, Fault> {
    if members.text("release")?.is_none() {
        return Ok(None);
    }
    match image(members, "release")? {
        (_, Source::Registry(reference)) => Ok(Some(reference)),
        (text, Source::Layout { .. } | Source::Made(_)) => {
            Err(members.fault("release", Problem::Reference(format!("{text:?} is a folder; a release must be in a registry"))))
        }
    }
}

fn platforms(members: &Members<'_>) -> Result<Vec<Platform>, Fault> {
    let read = |item: &At<'_>| {
        let pair = item.members(&PAIR)?;
        Ok(Platform { os: check::word(&pair, "os")?, architecture: check::word(&pair, "architecture")?, variant: None })
    };
    members.items("platforms")?.iter().map(read).collect()
}

fn chart_repository(at: &At<'_>) -> Result<ChartRepository, Fault> {
    let members = at.members(&REPOSITORY)?;
    Ok(ChartRepository {
        name: members.required("name")?.0,
        url: members.required("url")?.0,
        charts: members.items("charts")?.iter().map(chart).collect::<Result<_, _>>()?,
    })
}

fn chart(at: &At<'_>) -> Result<Chart, Fault> {
    let members = at.members(&CHART)?;
    Ok(Chart {
        name: members.required("name")?.0,
        version: members.plain("version")?,
        image_paths: members.words("imagePaths")?,
        platforms: platforms(&members)?,
    })
}

fn local_chart(at: &At<'_>) -> Result<LocalChart, Fault> {
    let members = at.members(&LOCAL)?;
    Ok(LocalChart {
        name: members.required("name")?.0,
        path: members.required("path")?.0,
        image_paths: members.words("imagePaths")?,
        platforms: platforms(&members)?,
    })
}
