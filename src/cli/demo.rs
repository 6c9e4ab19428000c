//! `sealift demo`: the whole way on one machine.
//!
//! The same functions as behind the commands, on images that are compiled in: what it shows is what the program does.

use super::demo_files::FILES;
use super::demo_registry::{Outside, Running, name_images, pull};
use super::output::bytes;
use super::{Context, Outcome, rfc3339};
use crate::archive::{self, OpenSet};
use crate::error::{Code, Error, Side};
use crate::format::SetName;
use crate::fs::Dir;
use crate::image_set::Source;
use crate::layout::Layout;
use crate::ledger::{Ledger, Log};
use crate::pack::{self, Job, PackPlan, Seal, Wish};
use crate::progress::Silent;
use crate::registry::{self, Client, ManifestRef};
use crate::sign::{AllowedSigners, Namespace, Policy, RevokedKeys, Signer, SoftwareKey, Trust};
use crate::text::counted;
use crate::unpack::{self, RegistryTarget, Setting, Spool, Target};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The images that are compiled in.
const IMAGES: [&str; 3] = ["greeting", "web", "worker"];
/// Small enough for three volumes.
const VOLUME_SIZE: u64 = 262_144;
/// A time like any other.
const WHEN: u64 = 1_767_323_045;

/// Walks through all of it on this machine, between two registries of its own
///
/// Serves three small images that are compiled in from an embedded registry, packs them from there, verifies, damages a volume and
/// shows that it is found, unpacks into a second embedded registry, pulls all of it back and compares the digests. Both registries
/// listen at 127.0.0.1 on free ports; no network is needed. Each step prints the command that does the same.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Work in this folder and leave it there
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let scratch = match &args.keep {
        Some(path) => path.clone(),
        None => std::env::temp_dir().join(format!("sealift-demo-{}", std::process::id())),
    };
    let result = Demo::new(&scratch, ctx).and_then(|demo| demo.walk());
    if args.keep.is_none() {
        // The folder is this process's own; what cannot be removed is scratch all the same.
        let _ = std::fs::remove_dir_all(&scratch);
    }
    result
}

struct Demo<'a> {
    ctx: &'a Context,
    client: Client,
    source: Running,
    out: PathBuf,
    inside: Running,
    state: Dir,
    workspace: Layout,
    key: SoftwareKey,
}

impl<'a> Demo<'a> {
    /// Lays out the scratch folder.
    fn new(scratch: &Path, ctx: &'a Context) -> Result<Demo<'a>, Error> {
        let dir = Dir::create(scratch)?.durable(false);
        if !dir.list()?.is_empty() {
            return Err(Error::new(Code::NotEmpty, format!("{} is not empty", scratch.display())).remedy("give another folder to --keep"));
        }
        for (path, bytes) in FILES {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let folder = if folder.is_empty() { dir.sub("images")? } else { dir.sub(&format!("images/{folder}"))? };
            folder.publish(name, bytes)?;
        }
        let (images, cancel) = (scratch.join("images"), ctx.cancel.clone());
        name_images(&images, &IMAGES.map(|name| (name, format!("demo/{name}:1"))))?;
        let options = registry::Options { cancelled: Arc::new(move || cancel.load(Ordering::Relaxed)), ..registry::Options::default() };
        Ok(Demo {
            ctx,
            client: Client::new(options).map_err(|e| crate::error::source(&e))?,
            source: Running::start(&images, false)?,
            out: scratch.join("medium"),
            inside: Running::start(&scratch.join("inside"), true)?,
            state: dir.sub("state")?,
            workspace: Layout::create(&scratch.join("workspace")).map_err(|e| crate::error::layout(&e, Side::Target))?.durable(false),
            key: SoftwareKey::ed25519(&[42; 32]),
        })
    }

    fn walk(&self) -> Result<Outcome, Error> {
        let report = self.pack()?;
        let set = self.open()?;
        self.verify(&set)?;
        let damaged = self.damage(&report)?;
        let done = self.unpack(&set)?;
        let compared = self.compare(&set)?;
        self.next();
        Outcome::done()
            .with("set", report.name.to_string())?
            .with("identity", report.identity)?
            .with("volumes", report.volumes.len())?
            .with("damageFound", damaged)?
            .with("images", done)?
            .with("digestsCompared", compared)
    }

    fn title(&self, text: &str) {
        self.ctx.output.line("");
        self.ctx.output.line(text);
    }

    fn pack(&self) -> Result<pack::Report, Error> {
        self.title("1. Outside: three images of a registry are packed into small signed volumes");
        let names = IMAGES.map(|name| format!("{}/demo/{name}:1", self.source.host()));
        let [first, second, third] = &names;
        self.ctx.output.line(&format!("   $ sealift pack {first} {second} {third} --key site --volume-size 256KiB medium"));
        let sources = names.iter().map(|name| Source::parse(name).map_err(|e| Error::bug("a name is no source").because(e)));
        let wish = Wish::of_references(sources.collect::<Result<_, _>>()?);
        let options = pack::Options { volume_size: VOLUME_SIZE, stream: "demo".into(), ..pack::Options::default() };
        let origins = Outside(&self.client);
        let (plan, failures) = pack::plan(&wish, options, &origins, 1, super::wishes::code_of, &Silent::new())?;
        let name = SetName::new("demo", 1).ok_or_else(|| Error::bug("the demonstration has no name"))?;
        let seal = |_: &PackPlan| Ok(Seal { name: name.clone(), created: rfc3339(WHEN) });
        let report = pack::run(Job {
            plan,
            failures,
            keep_going: false,
            origins: &origins,
            workspace: &self.workspace,
            out: &self.out,
            seal: &seal,
            signer: Some(&self.key),
            read_back: true,
            durable: false,
            parallel: 2,
            code: &super::wishes::code_of,
            now: WHEN,
            progress: &Silent::new(),
        })?;
        for (name, size) in &report.volumes {
            self.ctx.output.line(&format!("   {name}  {size} bytes"));
        }
        let total: u64 = report.volumes.iter().map(|(_, size)| size).sum();
        self.ctx.output.line(&format!(
            "   {} with {} in {} ({}), none larger than {VOLUME_SIZE} bytes; signed and read back",
            counted(report.images, "image"),
            bytes(report.content),
            counted(report.volumes.len(), "volume"),
            bytes(total)
        ));
        Ok(report)
    }

    /// Opens the set as the inside does: with a trust store that knows the key.
    fn open(&self) -> Result<OpenSet, Error> {
        let line = format!("stream:demo namespaces=\"{}\" {} demo\n", Namespace::Index, self.key.public_key().to_line());
        let trust = Trust::new(AllowedSigners::parse(line.as_bytes())?, RevokedKeys::parse(b"")?, Policy::parse(b"")?);
        let mut sets = archive::open(std::slice::from_ref(&self.out), &trust, WHEN)?;
        sets.pop().ok_or_else(|| Error::bug("the demonstration packed no set"))
    }

    fn verify(&self, set: &OpenSet) -> Result<(), Error> {
        self.title("2. Inside: the signature is checked first, then every byte");
        self.ctx.output.line("   $ sealift verify --deep medium");
        let checked = set.check(true, &Silent::new()).map_err(|e| crate::error::archive(&e, Side::Target))?;
        if let Some((_, damage)) = checked.damage.first() {
            return Err(damage.into());
        }
        self.ctx.output.line(&format!("   {} good, {} proven", counted(checked.good.len(), "volume"), counted(checked.proven, "blob")));
        Ok(())
    }

    /// Flips one bit in the middle of the second volume, shows what is said, and flips it back.
    fn damage(&self, report: &pack::Report) -> Result<String, Error> {
        self.title("3. A scratch: one bit of the second volume is flipped");
        self.ctx.output.line("   $ sealift verify medium");
        let (name, size) = report.volumes.get(1).ok_or_else(|| Error::bug("the demonstration has one volume"))?;
        let (dir, at) = (Dir::open(&self.out)?, size / 2);
        let flip = || -> Result<(), Error> {
            let file = dir.open_partial(name)?;
            let mut byte = [0];
            let fail = |e| crate::fs::FsError::from_io(e, "change", &dir.join(name));
            file.read_at(&mut byte, at).map_err(fail)?;
            Ok(file.write_all_at(&byte.map(|b| b ^ 1), at).map_err(fail)?)
        };
        flip()?;
        let set = self.open()?;
        let checked = set.check(false, &Silent::new()).map_err(|e| crate::error::archive(&e, Side::Target))?;
        flip()?;
        let (_, damage) = checked.damage.first().ok_or_else(|| Error::bug("the damage was not found"))?;
        let told = damage.to_string();
        self.ctx.output.line(&format!("   error: {told}"));
        self.ctx.output.line(&format!("   it hits {}; the other images would still arrive", set.images_with(&checked.lost).join(", ")));
        self.ctx.output.line("   (the bit is flipped back)");
        Ok(told)
    }

    fn unpack(&self, set: &OpenSet) -> Result<usize, Error> {
        self.title("4. Inside: the images are unpacked into another registry");
        let host = self.inside.host();
        self.ctx.output.line(&format!("   $ sealift unpack medium --to {host} --first"));
        let target = RegistryTarget::new(self.client.clone(), &host, "", Arc::default());
        let spool = Spool::open(&self.state.sub("spool")?, 1 << 30, unpack::MEMORY)?;
        let options = unpack::Options { first: true, now: rfc3339(WHEN), ..unpack::Options::default() };
        let log = Log::open(&self.state);
        let setting = Setting { media: set, target: &target, spool: &spool, log: &log, options: &options, progress: &Silent::new() };
        let mut ledger = Ledger::open(&self.state, &target.name())?;
        let plan = unpack::plan(&setting, &ledger).map_err(|e| Error::from(&e))?;
        let report = unpack::run(&setting, &mut ledger, &plan).map_err(|e| Error::from(&e.error))?;
        for image in &report.done {
            self.ctx.output.line(&format!("   {}:{}  {}", image.repository, image.tag, image.digest));
        }
        Ok(report.done.len())
    }

    /// Every image is pulled from the registry inside, and what its tag names is compared with the one outside.
    fn compare(&self, set: &OpenSet) -> Result<usize, Error> {
        self.title("5. The images are pulled back, and the digests outside and inside are compared");
        for image in &set.contents().images {
            let at = |host: &str| self.client.repository(host, &image.repository);
            let outside = at(&self.source.host()).head_manifest(&ManifestRef::Tag(image.tag.clone()));
            let outside = outside.map_err(|e| crate::error::source(&e))?.map(|head| head.digest);
            let (inside, size) = pull(&at(&self.inside.host()), &image.tag)?;
            let name = format!("{}:{}", image.repository, image.tag);
            if outside != Some(inside) {
                return Err(Error::bug(format!("{name} is not what it was")));
            }
            self.ctx.output.line(&format!("   {name}: {}, equal", bytes(size)));
        }
        Ok(set.contents().images.len())
    }

    fn next(&self) {
        self.title("What to type next, on your own images:");
        self.ctx.output.lines(
            "   outside   sealift key generate site          (once; prints the line for the inside)\n\
             \x20  inside    sealift trust add ...              (once; that line)\n\
             \x20  outside   sealift pack quay.io/org/image:tag --key site OUT\n\
             \x20  inside    sealift verify OUT\n\
             \x20  inside    sealift unpack OUT --to registry.example:5000/prefix --first",
        );
    }
}
