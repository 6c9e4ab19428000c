//! `sealift resources`: what clusters and hosts need to pull from the inner registry.

use super::receipts::{from_paths, receipts_of, target_name};
use super::{Context, Outcome, connections, options, published, receipts, resources_folder, values};
use crate::cluster::{self, Kind, ResourceFile, Target};
use crate::error::{Code, Error};
use crate::format::{Receipt, Role};
use crate::fs::Dir;
use crate::progress::Level;
use crate::text::shown;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Writes what clusters need to pull from the inner registry
///
/// Mirror sets, catalogs, the update service and release signatures for OpenShift; hosts.toml for containerd, a drop-in for
/// registries.conf, registries.yaml for k3s and RKE2; signatures of images for podman. They follow the receipts of everything that
/// was unpacked into the registry, not of the last set alone, and have the names oc-mirror gives: applying them updates what it left.
/// --dest-tls-verify=false says to nodes too that they need no certificate of the registry: for one without TLS in a network you trust.
/// What OpenShift must be told of such a registry by hand, and of one with an authority of its own (--ca-file), is printed.
/// A host that has no receipts reads those in the registry (PREFIX/sealift/receipts). Without -o the objects for OpenShift are
/// printed, for `oc apply -f -`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where to.
    // Not in the comment: rustdoc would read the brackets as links.
    #[arg(
        long,
        help = "Registry the images were unpacked into: host[:port][/prefix]. Given several times, they become mirrors of one another, in this order",
        value_name = "TARGET",
        value_parser = values::destination,
        required_unless_present = "receipts"
    )]
    pub to: Vec<values::Destination>,
    /// Name clusters reach the registry by, where it is not the one it was unpacked under; as often as --to, in the same order
    #[arg(long, value_name = "TARGET", value_parser = values::destination, requires = "to")]
    pub seen_as: Vec<values::Destination>,
    /// Receipts from elsewhere: files, or folders of them (default: what this host has unpacked). Without --to, of all targets they
    /// are of
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub receipts: Vec<PathBuf>,
    /// Read the receipts in the registry as well: where several hosts unpack into it, each knows only of its own runs
    #[arg(long, requires = "to", conflicts_with = "receipts")]
    pub from_registry: bool,
    /// Folder to write into; what an earlier run wrote there and is no longer needed is removed
    #[arg(short, long = "output", value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Only these kinds, separated by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    pub only: Vec<Kind>,
    /// For OpenShift before 4.13: ImageContentSourcePolicy in place of the mirror sets
    #[arg(long)]
    pub icsp: bool,
    /// Names at the target, where receipts are read from it.
    #[command(flatten)]
    pub nested: options::Nested,
    /// How the target is spoken to, where receipts are read from it.
    #[command(flatten)]
    pub target: options::Target,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    // Whatever passes the first step is a word of the second.
    PossibleValuesParser::new(Kind::ALL.map(Kind::word))
        .try_map(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or("not a kind"))
}

/// Runs the command.
///
/// # Errors
/// `FILE_MISSING` when nothing is known of a target; `USAGE` when it is no registry; as receipts, files and registries fail.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let targets = targets(&args, ctx)?;
    let mut chosen: BTreeSet<Kind> = args.only.iter().copied().collect();
    if chosen.is_empty() {
        chosen = Kind::usual(args.icsp);
        // What is not applied to a cluster would break `oc apply -f -`.
        chosen.retain(|kind| args.output.is_some() || kind.is_object());
    } else if args.icsp {
        chosen.insert(Kind::Icsp);
    }
    let made = cluster::resources(&targets, &chosen)?;
    made.notes.iter().for_each(|note| ctx.output.warn(note));
    if made.files.is_empty() {
        ctx.output.warn("nothing to write: no image there is known by a name outside");
    }
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let outcome = Outcome::done().with("targets", names)?;
    let Some(path) = &args.output else {
        print(&made.files, ctx);
        let files = made.files.iter().map(|f| serde_json::json!({"name": f.name, "kind": f.kind.word(), "contents": f.contents}));
        return outcome.with("files", files.collect::<Vec<_>>());
    };
    resources_folder::write(&Dir::create(path)?, &made.files, ctx)?;
    made.files.iter().for_each(|file| ctx.output.line(&format!("wrote: {}", shown(&path.join(&file.name).display().to_string()))));
    next(path, &made.files, ctx);
    let files = made.files.iter().map(|f| serde_json::json!({"name": f.name, "kind": f.kind.word()}));
    outcome.with("folder", path)?.with("files", files.collect::<Vec<_>>())
}

/// What is known of each target, the targets in the order they were given.
fn targets(args: &Args, ctx: &Context) -> Result<Vec<Target>, Error> {
    let outside = from_paths(&args.receipts, ctx)?;
    let mut names: Vec<String> = Vec::new();
    for name in args.to.iter().map(target_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names = outside.iter().map(|receipt| receipt.target.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    }
    let mut targets = names.into_iter().map(|name| known(name, args, &outside, ctx)).collect::<Result<Vec<_>, _>>()?;
    if !args.seen_as.is_empty() && args.seen_as.len() != targets.len() {
        return Err(Error::new(Code::Usage, "--seen-as was not given as often as --to").remedy("give one --seen-as for each --to"));
    }
    targets.iter_mut().zip(&args.seen_as).for_each(|(target, seen)| target.name = target_name(seen));
    Ok(targets)
}

fn known(name: String, args: &Args, outside: &[Receipt], ctx: &Context) -> Result<Target, Error> {
    let own = if args.to.is_empty() { Vec::new() } else { receipts_of(&name, ctx)? };
    let mut others: Vec<Receipt> = outside.iter().filter(|receipt| receipt.target == name).cloned().collect();
    let mut trouble = None;
    if args.from_registry {
        others = published::unknown(in_registry(&name, args, ctx)?, &own);
    } else if own.is_empty() && args.receipts.is_empty() {
        match in_registry(&name, args, ctx) {
            Ok(receipts) => others = receipts,
            Err(error) if error.code == Code::Interrupted => return Err(error),
            Err(error) => trouble = Some(error),
        }
        if !others.is_empty() {
            let line = "this host has no receipts of the target: those in the registry are used, as trustworthy as the registry";
            ctx.progress.say(Level::Info, line);
        }
    }
    let mixed = !own.is_empty() && !others.is_empty();
    let mut receipts = [own, others].concat();
    // Only of one host the order is certain.
    if mixed {
        receipts::sort(&mut receipts);
    }
    if receipts.is_empty() && !name.starts_with("oci:") {
        return Err(unknown(&name, trouble, ctx));
    }
    Ok(Target { name, receipts, insecure: args.target.dest_tls_verify == Some(false), authority: authority(&args.target) })
}

/// The authority that was named for a target.
fn authority(target: &options::Target) -> Option<String> {
    target.access.ca_file.as_ref().map(|path| path.display().to_string())
}

/// What lies in the registry of that name.
fn in_registry(name: &str, args: &Args, ctx: &Context) -> Result<Vec<Receipt>, Error> {
    let Some(to) = args.to.iter().find(|to| target_name(to) == name) else { return Ok(Vec::new()) };
    if matches!(to, values::Destination::Layout(_)) {
        return Ok(Vec::new());
    }
    let connections::Place { target, prefix, .. } = connections::target(ctx, to, &args.target)?;
    published::in_registry(target.as_ref(), &prefix, &args.nested, ctx)
}

/// No receipt of a target is anywhere. `trouble` is why the registry could not be asked.
fn unknown(name: &str, trouble: Option<Error>, ctx: &Context) -> Error {
    let known = receipts::known_targets(ctx).iter().map(|name| shown(name).to_string()).collect::<Vec<_>>();
    let known = if known.is_empty() { String::new() } else { format!(" (this host has receipts of {})", known.join(", ")) };
    let there = match &trouble {
        Some(error) => format!(", and those in the registry cannot be read: {}", error.what),
        None => ", nor is there one in the registry".to_owned(),
    };
    let error = Error::new(Code::FileMissing, format!("no receipt of {} is known on this host{there}", shown(name))).remedy(format!(
        "name the target as `sealift unpack --to` did{known}; or give --receipts FILE; or unpack the set again: nothing is pushed twice",
    ));
    match trouble {
        Some(trouble) => Error { causes: trouble.causes, ..error },
        None => error,
    }
}

/// The JSON form of what is there as YAML is not printed too, and nothing that is no text.
fn print(files: &[ResourceFile], ctx: &Context) {
    for file in files.iter().filter(|file| !file.name.ends_with(".json") && !file.is_binary()) {
        ctx.output.text(&format!("# {}\n{}", file.name, file.contents));
    }
}

/// What is to be done with the files.
fn next(path: &Path, files: &[ResourceFile], ctx: &Context) {
    let has = |kind: Kind| files.iter().any(|file| file.kind == kind);
    let path = shown(&path.display().to_string()).to_string();
    let say = |told: &str| ctx.output.line(told);
    if files.iter().any(|file| file.kind.is_object()) {
        say(&format!("next: oc apply -f {path}"));
        say("a kind the cluster does not know is refused alone: ClusterCatalog needs OpenShift 4.18, UpdateService its operator");
    }
    if has(Kind::Signatures) {
        say("release signatures must be in the cluster before an update is asked for");
    }
    for (kind, told) in [
        (Kind::InstallConfig, format!("for a new cluster: put a part of {path}/install-config into its install-config.yaml")),
        (Kind::Containerd, format!("containerd: copy the folders of {path}/containerd/certs.d to /etc/containerd/certs.d")),
        (
            Kind::RegistriesConf,
            format!("podman, CRI-O: copy {path}/registries.conf.d/50-sealift.conf to /etc/containers/registries.conf.d"),
        ),
        (
            Kind::Lookaside,
            format!(
                "signatures: copy {path}/lookaside/* to /var/lib/containers/sigstore, {path}/registries.d/* to /etc/containers/registries.d"
            ),
        ),
        (Kind::K3s, format!("k3s, RKE2: put {path}/k3s/registries.yaml to /etc/rancher/k3s or /etc/rancher/rke2, and restart it")),
    ] {
        if has(kind) {
            say(&told);
        }
    }
}

/// After `unpack`: everything for this target, into `folder` or beside the receipts. Gives the folder when something was written.
///
/// # Errors
/// As receipts and files fail.
pub(super) fn after_unpack(
    target: &values::Destination,
    reached: &options::Target,
    folder: Option<&Path>,
    ctx: &Context,
) -> Result<Option<PathBuf>, Error> {
    let name = target_name(target);
    if matches!(target, values::Destination::Layout(_)) {
        return Ok(None);
    }
    let receipts = receipts_of(&name, ctx)?;
    // Mirror sets are written for plain images too, wherever these will run.
    let openshift = receipts.iter().flat_map(|r| &r.images).any(|image| matches!(image.role, Role::Release | Role::Catalog));
    let authority = authority(reached).filter(|_| openshift);
    let targets = [Target { receipts, name: name.clone(), insecure: false, authority }];
    let made = cluster::resources(&targets, &Kind::usual(false))?;
    made.notes.iter().for_each(|note| ctx.progress.say(Level::Info, note));
    let path = match folder {
        Some(path) => path.to_owned(),
        None => ctx.environment.state()?.join("resources").join(receipts::folder_name(&name)),
    };
    if made.files.is_empty() && !path.exists() {
        return Ok(None);
    }
    resources_folder::write(&Dir::create(&path)?, &made.files, ctx)?;
    if made.files.is_empty() {
        return Ok(None);
    }
    let told = shown(&path.display().to_string()).to_string();
    ctx.output.line(&format!("cluster resources for {}: {told}; apply them with: oc apply -f {told}", shown(&name)));
    // Whether nodes may do without a certificate as well is a decision of its own.
    if reached.dest_tls_verify == Some(false) {
        let name = shown(&name);
        ctx.output.line(&format!(
            "they take for granted that nodes reach it by TLS; if they do not: sealift resources --to {name} --dest-tls-verify=false -o {told}"
        ));
    }
    Ok(Some(path))
}
