//! `sealift list operators`: packages, channels and versions of a catalog, and what an ImageSet keeps of it.

use crate::cli::{Context, Outcome, options, values, wishes};
use crate::error::{Code, Error};
use crate::fs::{Dir, FsError, read_user_file};
use crate::image_set::{ImageSet, Operator, Source};
use crate::openshift::catalog::CatalogImage;
use crate::openshift::fbc::{Catalog, Folder, Kept, Options, filter, write};
use crate::openshift::files::Files;
use crate::origin::Origins;
use crate::text::{counted, nearest};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Lists packages, channels and versions of an operator catalog
///
/// Without --package all packages with their default channel; with --package its channels and their heads; with --channel as
/// well, the versions in it. With --config it is shown what an ImageSet keeps of the catalog.
#[derive(clap::Args, Debug)]
#[command(group(clap::ArgGroup::new("where").required(true).args(["catalog", "catalog_dir", "catalogs"])))]
pub struct Args {
    /// Catalog image: a reference, or oci:FOLDER:TAG
    #[arg(long, value_name = "REFERENCE")]
    pub catalog: Option<String>,
    /// Folder with a file-based catalog (as in the folder /configs of a catalog image)
    #[arg(long, value_name = "DIR")]
    pub catalog_dir: Option<PathBuf>,
    /// The references of the default catalogs of an OpenShift version
    #[arg(long, requires = "ocp_version")]
    pub catalogs: bool,
    /// Version of OpenShift, X.Y
    #[arg(id = "ocp_version", long = "version", value_name = "X.Y", value_parser = minor, requires = "catalogs")]
    pub version: Option<(u64, u64)>,
    /// Only this package: its channels
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// Only this channel: its versions
    #[arg(long, value_name = "NAME", requires = "package")]
    pub channel: Option<String>,
    /// ImageSet with one catalog: show what it keeps, whatever catalog it names; of several, the one that --catalog names
    #[arg(long, value_name = "FILE", conflicts_with_all = ["catalogs", "package", "channel"])]
    pub config: Option<PathBuf>,
    /// How that is shown
    #[arg(long, value_enum, value_name = "FORM", default_value = "table", requires = "config")]
    pub format: Form,
    /// Write the filtered catalog into this folder, as configs/PACKAGE/catalog.json
    #[arg(short, long, value_name = "DIR", requires = "config")]
    pub output: Option<PathBuf>,
    /// Show what kept bundles depend on, and whether it is there
    #[arg(long, requires = "config")]
    pub dependencies: bool,
    /// Keep what kept bundles depend on, too
    #[arg(long, requires = "config")]
    pub with_dependencies: bool,
    /// Show what can be kept even if something asked for cannot
    #[arg(long, requires = "config")]
    pub keep_going: bool,
    /// How the registry of the catalog is spoken to.
    #[command(flatten)]
    pub source: options::Source,
    /// Where layers of the catalog are kept that had to be fetched.
    #[command(flatten)]
    pub workspace: options::Workspace,
}

/// How what is kept is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table of packages and channels
    Table,
    /// Sorted lines: bundles, channels with their entries, images, packages
    Kept,
}

/// Reads `X.Y`.
fn minor(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let parts = text.trim_start_matches('v').split_once('.');
    let version = parts.and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    version.ok_or_else(|| "a version of OpenShift is written X.Y, for example 4.18".to_owned())
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    if let Some((major, minor)) = args.version {
        return default_catalogs(major, minor, ctx);
    }
    match (&args.catalog, &args.catalog_dir) {
        (Some(reference), _) => of_image(&args, reference, ctx),
        (None, Some(dir)) => of_catalog(&args, &Folder::new(Dir::open(dir)?), "", ctx),
        (None, None) => Err(Error::bug("no catalog was named")),
    }
}

/// Looks into a catalog image; a layer that was fetched for that is there for a later pack.
fn of_image(args: &Args, reference: &str, ctx: &Context) -> Result<Outcome, Error> {
    let source = values::source(reference)?;
    let sources = wishes::sources(ctx, &args.source, args.workspace.open(ctx)?)?;
    let origin = sources.open(&source)?;
    let (digest, _) = origin.resolve(&source)?;
    let stopped = || ctx.progress.cancelled();
    let progress = ctx.progress.as_ref();
    progress.begin("reading the catalog", 0);
    let image = CatalogImage::open(origin.as_ref(), digest, sources.workspace(), &[], &stopped, progress);
    let outcome = image.map_err(Error::from).and_then(|image| of_catalog(args, &image.files(), "", ctx));
    progress.end();
    outcome
}

/// What the command shows of a catalog, wherever its files are.
fn of_catalog(args: &Args, files: &dyn Files, root: &str, ctx: &Context) -> Result<Outcome, Error> {
    let catalog = Catalog::read(files, root)?;
    ctx.go_on()?;
    match (&args.config, &args.package) {
        (Some(config), _) => kept(args, files, &catalog, &one_catalog(config, args.catalog.as_deref())?, ctx),
        (None, None) => packages(&catalog, ctx),
        (None, Some(package)) => of_package(&catalog, package, args.channel.as_deref(), ctx),
    }
}

/// The catalogs OpenShift comes with; the marketplace ended with 4.21.
fn default_catalogs(major: u64, minor: u64, ctx: &Context) -> Result<Outcome, Error> {
    let names = ["redhat", "certified", "community", "redhat-marketplace"];
    let names = names.iter().filter(|name| **name != "redhat-marketplace" || (major, minor) < (4, 22));
    let references: Vec<String> =
        names.map(|name| format!("registry.redhat.io/redhat/{}-index:v{major}.{minor}", with_operator(name))).collect();
    references.iter().for_each(|reference| ctx.output.line(reference));
    Outcome::done().with("catalogs", references)
}

fn with_operator(name: &str) -> String {
    if name == "redhat-marketplace" { name.to_owned() } else { format!("{name}-operator") }
}

/// The catalog of an ImageSet: the only one, or of several the one that is looked into.
fn one_catalog(path: &Path, reference: Option<&str>) -> Result<Operator, Error> {
    let (mut set, _) = ImageSet::parse(&read_user_file(path)?)?;
    let source = reference.and_then(|reference| Source::parse(reference).ok());
    if set.operators.len() > 1 {
        set.operators.retain(|operator| source.as_ref().is_none_or(|source| operator.source == *source));
    }
    match <[Operator; 1]>::try_from(set.operators) {
        Ok([operator]) => Ok(operator),
        Err(others) if others.is_empty() && reference.is_some() => {
            let reference = crate::text::shown(reference.unwrap_or_default()).to_string();
            Err(Error::new(Code::Usage, format!("{} has no catalog {reference}", path.display()))
                .remedy("give --catalog as the file names it, or an ImageSet with exactly one entry under mirror.operators"))
        }
        Err(others) => Err(Error::new(Code::Usage, format!("{} has {}", path.display(), counted(others.len(), "catalog")))
            .remedy("give an ImageSet with exactly one entry under mirror.operators, or --catalog with one of those it names")),
    }
}

fn header<const N: usize>(names: [&str; N]) -> Vec<Vec<String>> {
    vec![names.map(str::to_owned).to_vec()]
}

fn packages(catalog: &Catalog, ctx: &Context) -> Result<Outcome, Error> {
    let mut rows = header(["NAME", "DISPLAY NAME", "DEFAULT CHANNEL"]);
    let mut list = Vec::new();
    for package in catalog.package_names().filter_map(|name| catalog.package(name)) {
        let head = package.head(package.default_channel()).ok();
        let display = head.and_then(|head| package.bundle(head)?.display_name()).unwrap_or_default();
        let row = [package.name(), display, package.default_channel()];
        list.push(json!({"name": row[0], "displayName": row[1], "defaultChannel": row[2]}));
        rows.push(row.map(str::to_owned).to_vec());
    }
    ctx.output.table(&rows);
    Outcome::done().with("packages", list)
}

fn not_there<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let near = nearest(name, known).map_or(String::new(), |near| format!("; did you mean {near}?"));
    Error::new(Code::ContentNotFound, format!("there is no {what} {}{near}", crate::text::shown(name)))
        .remedy(format!("`sealift list operators` without --{what} shows what there is"))
}

fn of_package(catalog: &Catalog, name: &str, channel: Option<&str>, ctx: &Context) -> Result<Outcome, Error> {
    let package = catalog.package(name).ok_or_else(|| not_there("package", name, catalog.package_names()))?;
    if let Some(channel) = channel {
        let versions = package.versions(channel).ok_or_else(|| not_there("channel", channel, package.channel_names()))?;
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        ctx.output.line("VERSIONS");
        versions.iter().for_each(|version| ctx.output.line(version));
        return Outcome::done().with("versions", versions);
    }
    let mut rows = header(["PACKAGE", "CHANNEL", "HEAD"]);
    let mut list = Vec::new();
    for channel in package.channel_names() {
        let head = match package.head(channel) {
            Ok(head) => head,
            Err(fault) => {
                ctx.output.warn(&format!("package {}: {fault}", crate::text::shown(name)));
                ""
            }
        };
        list.push(json!({"name": channel, "head": head}));
        rows.push([name, channel, head].map(str::to_owned).to_vec());
    }
    ctx.output.table(&rows);
    Outcome::done().with("package", name)?.with("channels", list)
}

fn kept(args: &Args, files: &dyn Files, catalog: &Catalog, operator: &Operator, ctx: &Context) -> Result<Outcome, Error> {
    let options = Options { keep_going: args.keep_going, with_dependencies: args.with_dependencies };
    let kept = filter(catalog, &operator.packages, operator.full, options)?;
    if let Some(output) = &args.output {
        write_out(files, catalog, &kept, output)?;
    }
    match args.format {
        Form::Kept => lines(&kept).iter().for_each(|line| ctx.output.whole_line(line)),
        Form::Table => table(&kept, ctx),
    }
    kept.warnings.iter().for_each(|warning| ctx.output.warn(warning));
    if args.dependencies {
        dependencies(&kept, ctx);
    }
    let details = kept.left_out.iter().map(Into::into).collect();
    let shortfall = Error::partial(format!("{} of the packages and images cannot be kept", kept.left_out.len()), details);
    let outcome = Outcome::done().with("whole", kept.whole)?.with("packages", &kept.packages)?.with("images", kept.images())?;
    Ok(outcome.with("needs", &kept.needs)?.but(shortfall))
}

/// Puts the files of the filtered catalog into a folder. Each is there whole or not at all.
fn write_out(files: &dyn Files, catalog: &Catalog, kept: &Kept, output: &Path) -> Result<(), Error> {
    let root = Dir::create(output)?;
    Ok(write(files, catalog, kept, &mut |path, _, reader| {
        let mut folder = root.clone();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                folder = folder.make_sub(part).map_err(FsError::into_io)?;
                continue;
            }
            let mut staged = folder.stage(part).map_err(FsError::into_io)?;
            io::copy(reader, &mut staged)?;
            staged.commit().map_err(FsError::into_io)?;
        }
        Ok(())
    })?)
}

/// What is kept, one line per thing: to be compared by programs.
fn lines(kept: &Kept) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> = kept.images().into_iter().map(|image| format!("image {image}")).collect();
    for package in &kept.packages {
        lines.insert(format!("package {} default={}", package.name, package.default_channel));
        lines.extend(package.bundles.iter().map(|bundle| format!("bundle {}", bundle.name)));
        let channel = package.channels.iter();
        lines.extend(channel.map(|channel| format!("channel {}/{} {}", package.name, channel.name, channel.entries.join(","))));
    }
    lines
}

fn table(kept: &Kept, ctx: &Context) {
    let mut rows = header(["PACKAGE", "CHANNEL", "BUNDLES"]);
    for package in &kept.packages {
        for channel in &package.channels {
            let default = if channel.name == package.default_channel { " (default)" } else { "" };
            rows.push(vec![package.name.clone(), format!("{}{default}", channel.name), channel.entries.join(" ")]);
        }
    }
    ctx.output.table(&rows);
    let bundles: usize = kept.packages.iter().map(|package| package.bundles.len()).sum();
    ctx.output.line(&format!(
        "{}, {}, {}",
        counted(kept.packages.len(), "package"),
        counted(bundles, "bundle"),
        counted(kept.images().len(), "image")
    ));
}

fn dependencies(kept: &Kept, ctx: &Context) {
    let mut rows = header(["BUNDLE", "NEEDS", "STATE", "BY"]);
    for need in &kept.needs {
        let state = serde_json::to_value(need.state).ok();
        let state = state.as_ref().and_then(Value::as_str).unwrap_or_default();
        rows.push(vec![need.bundle.clone(), need.requirement.clone(), state.to_owned(), need.by.join(" ")]);
    }
    ctx.output.table(&rows);
}
