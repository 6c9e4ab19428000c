//! `sealift serve`: the embedded registry.

use super::output::bytes;
use super::{Context, Outcome, now, rfc3339, sets};
use crate::error::{Code, Error};
use crate::layout::Layout;
use crate::serve::{self, Access, Anonymous, ArchiveStore, LayoutStore, Options, Server, Store, Subject, Tls};
use crate::text::{are, counted, shell_word};
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A certificate that ends within so many seconds is warned of.
const SOON: u64 = 30 * 86_400;
/// Blobs younger than this stay in a collection: they may belong to an image that is just being pushed.
const YOUNG: u64 = 24 * 3600;

/// Serves a layout, or the volumes of sets, as a registry
///
/// oci:DIR serves an OCI image layout, and takes pushes into it: unpack writes such a layout with --to oci:DIR, and its images
/// are called repository:tag. Folders, volumes or indexes of sets are served as they are, read only: the signature is judged as
/// verify does, and every block is compared before a byte of it leaves. DATA, made by --init, is a registry with certificate
/// and users of its own.
///
/// The registry speaks the OCI distribution specification 1.1: docker, podman, skopeo, CRI-O and containerd pull from it and
/// push to it. It ends on SIGINT or SIGTERM, once running requests are done or ten seconds have passed.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER)]
pub struct Args {
    /// oci:DIR, or folders and files of sets, or a folder made by --init
    #[arg(value_name = "WHAT", required = true, num_args = 1..)]
    pub paths: Vec<PathBuf>,
    /// Address and port to listen at; port 0 takes any (default: 127.0.0.1:5000, or what --init wrote)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Only serve: refuse pushes into the layout, and write nothing into it
    #[arg(long)]
    pub read_only: bool,
    /// Take indexes some of whose members are not here
    #[arg(long, conflicts_with = "read_only")]
    pub sparse: bool,
    /// Which stream, where the paths hold sets of several
    #[arg(long, value_parser = super::values::stream)]
    pub stream: Option<String>,
    /// What needs no login: pull, or push (which is everything)
    #[arg(long, value_name = "WHAT", help_heading = "Access")]
    pub allow_anonymous: Option<Open>,
    /// Users who may do everything: a file of htpasswd -B. Changes of the file count at once
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub htpasswd: Option<PathBuf>,
    /// Certificate (PEM) of the registry, followed by those it was signed with. With --init it is copied into the folder
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "plain_http", help_heading = "Access")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Access")]
    pub tls_key: Option<PathBuf>,
    /// No TLS: names, passwords and content travel in the clear
    #[arg(long, help_heading = "Access")]
    pub plain_http: bool,
    /// Prepare a folder for a registry: content, an authority and a certificate of its own, a user, a systemd unit. What is
    /// there stays
    #[arg(
        long,
        requires = "hostname",
        conflicts_with_all = ["read_only", "sparse", "stream", "allow_anonymous", "htpasswd", "plain_http"],
        help_heading = "Preparing"
    )]
    pub init: bool,
    /// With --init: a name or address the registry is reached by; can be given several times, and the first is what it is called
    #[arg(long, value_name = "HOST", requires = "init", value_parser = super::values::hostname, help_heading = "Preparing")]
    pub hostname: Vec<String>,
    /// With --init: subject of the certificates, C=..,ST=..,L=..,O=..,OU=..
    #[arg(long, value_name = "SUBJECT", requires = "init", conflicts_with = "tls_cert", help_heading = "Preparing")]
    pub subject: Option<Subject>,
    /// Remove what no image of the layout oci:DIR reaches and is older than a day, and end. The registry may go on running
    #[arg(long, conflicts_with_all = ["init", "read_only", "sparse"])]
    pub collect_garbage: bool,
}

const AFTER: &str = "\
Several registries can serve one shared folder: one takes pushes, the others run with --read-only. They see new images at once, \
and need no word of each other; see sealift-security(7).";

/// What everybody may.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Open {
    /// Pull
    Pull,
    /// Pull, push and delete
    Push,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    match (args.init, args.collect_garbage) {
        (true, _) => prepare(&args, ctx),
        (_, true) => collect(&args, ctx),
        _ => serve(args, ctx),
    }
}

/// The only path, where there may be but one.
fn single(args: &Args) -> Result<&Path, Error> {
    match args.paths.as_slice() {
        [one] => Ok(one),
        _ => Err(Error::new(Code::Usage, "only one folder can be given here")),
    }
}

/// The folder of `oci:DIR`.
fn layout_of(path: &Path) -> Option<PathBuf> {
    let folder = path.to_str()?.strip_prefix("oci:").filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder))
}

fn collect(args: &Args, ctx: &Context) -> Result<Outcome, Error> {
    let path = single(args)?;
    let folder = match layout_of(path) {
        Some(folder) => folder,
        None if serve::is_prepared(path) => path.join("registry"),
        None => return Err(Error::new(Code::Usage, "--collect-garbage takes oci:DIR, or a folder made by --init")),
    };
    let layout = Layout::open(&folder).map_err(|e| crate::error::layout(&e, crate::error::Side::Target))?;
    let done = layout.collect_garbage(now().saturating_sub(YOUNG));
    let done = done.map_err(|e| crate::error::layout(&e, crate::error::Side::Target))?;
    LayoutStore::forget_removed(&folder).map_err(serve::Error::from)?;
    ctx.output.line(&format!("removed {} ({}), staying: {}", counted(done.files, "file"), bytes(done.bytes), counted(done.kept, "blob")));
    Outcome::done().with("removed", done.files)?.with("removedBytes", done.bytes)?.with("kept", done.kept)
}

/// Everything but the content: where, how, who.
struct Face {
    listen: SocketAddr,
    certificate: Option<(PathBuf, PathBuf)>,
    htpasswd: Option<PathBuf>,
}

fn serve(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let (store, face, hourly) = open(&args, ctx)?;
    if face.certificate.is_none() && !args.plain_http {
        return Err(serve::Error::NoTls.into());
    }
    let tls = face.certificate.as_ref().map(|(certificate, key)| Tls::read(certificate, key)).transpose()?;
    if let Some(end) = tls.as_ref().and_then(|tls| tls.not_after) {
        warn_of_end(end, &|line| ctx.output.warn(line));
    }
    let anonymous = match args.allow_anonymous {
        None => Anonymous::Nothing,
        Some(Open::Pull) => Anonymous::Pull,
        Some(Open::Push) => Anonymous::Push,
    };
    let access = Access::new(anonymous, face.htpasswd.as_deref())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let end = tls.as_ref().and_then(|tls| tls.not_after);
    let (output, cancel) = (ctx.output.clone(), ctx.cancel.clone());
    let told = ctx.output.clone();
    let options = Options {
        listen: face.listen,
        tls,
        access,
        log: Arc::new(move |line| output.message(line)),
        clock: now,
        cancelled: Arc::new(move || cancel.load(Ordering::Relaxed)),
        hourly: Arc::new(move || {
            hourly();
            if let Some(end) = end.filter(|_| now() % 86_400 < 3600) {
                warn_of_end(end, &|line| told.message(&format!("warning: {line}")));
            }
        }),
    };
    let server = Server::bind(store, options)?;
    // On standard error, as the log is: with --json standard output is one object at the end.
    ctx.output.message(&format!("listening at {scheme}://{}", server.address()));
    let address = server.address().to_string();
    server.run()?;
    ctx.output.message("the registry has ended");
    Outcome::done().with("listened", address)
}

fn warn_of_end(end: u64, warn: &dyn Fn(&str)) {
    let ends = rfc3339(end);
    let how = "replace it (one made by --init: remove tls/server.crt, run --init again) and start the registry again";
    if end <= now() {
        warn(&format!("the certificate has ended on {ends}: clients refuse it; {how}"));
    } else if end < now() + SOON {
        warn(&format!("the certificate ends on {ends}; {how}"));
    }
}

/// Something to do once an hour.
type Hourly = Box<dyn Fn() + Send + Sync>;

fn open(args: &Args, ctx: &Context) -> Result<(Box<dyn Store>, Face, Hourly), Error> {
    let given = args.tls_cert.clone().zip(args.tls_key.clone());
    let standard = SocketAddr::from(([127, 0, 0, 1], 5000));
    let face = Face { listen: args.listen.unwrap_or(standard), certificate: given, htpasswd: args.htpasswd.clone() };
    let first = args.paths.first().map_or(Path::new(""), PathBuf::as_path);
    if let Some(folder) = layout_of(first) {
        single(args)?;
        let (store, hourly) = open_layout(&folder, args, ctx)?;
        return Ok((store, face, hourly));
    }
    if serve::is_prepared(first) {
        single(args)?;
        let settings = serve::settings(first)?;
        let (store, hourly) = open_layout(&first.join("registry"), args, ctx)?;
        let own = (first.join("tls/server.crt"), first.join("tls/server.key"));
        let face = Face {
            listen: args.listen.unwrap_or(settings.listen),
            certificate: face.certificate.or(Some(own).filter(|_| !args.plain_http)),
            htpasswd: face.htpasswd.or_else(|| Some(first.join("htpasswd"))),
        };
        return Ok((store, face, hourly));
    }
    let store = ArchiveStore::new(sets::open(ctx, &args.paths, args.stream.as_deref())?);
    for set in store.sets() {
        let missing = set.volumes_missing();
        ctx.output.message(&format!(
            "set {}: {}, signed by {}",
            set.name(),
            counted(set.contents().images.len(), "image"),
            sets::signers(set)
        ));
        if !missing.is_empty() {
            let (which, images) = (numbers(&missing), set.images_with(&set.blobs_in(&missing.iter().copied().collect())));
            ctx.output.warn(&format!(
                "volumes {which} of {} of {} are not here: {} of {} cannot be pulled whole",
                set.index().volumes.len(),
                set.name(),
                images.len(),
                counted(set.contents().images.len(), "image")
            ));
        }
    }
    if let Some(tag) = store.contested().first() {
        let number = store.contested().len();
        ctx.output.warn(&format!(
            "{} ({tag} ...) {} in several sets with different images; the highest sequence is served",
            counted(number, "tag"),
            are(number)
        ));
    }
    Ok((Box::new(store), face, Box::new(|| {})))
}

fn open_layout(folder: &Path, args: &Args, ctx: &Context) -> Result<(Box<dyn Store>, Hourly), Error> {
    let fail = |e| Error::from(serve::Error::Store(e));
    let store = match args.read_only {
        true => LayoutStore::open_read_only(folder),
        false => LayoutStore::open(folder, args.sparse, now()),
    };
    let store = Arc::new(store.map_err(fail)?);
    match store.nameless().map_err(fail)? {
        0 => {}
        n => ctx.output.warn(&format!("{} {} not called repository:tag: to be pulled by digest only", counted(n, "image"), are(n))),
    }
    let (kept, output) = (store.clone(), ctx.output.clone());
    let hourly = move || {
        if let Err(error) = kept.expire_uploads(now()) {
            output.message(&format!("warning: old uploads could not be removed: {error}"));
        }
    };
    Ok((Box::new(store), Box::new(hourly)))
}

fn prepare(args: &Args, ctx: &Context) -> Result<Outcome, Error> {
    let folder = single(args)?;
    if layout_of(folder).is_some() {
        return Err(Error::new(Code::Usage, "--init prepares a folder of its own, no layout oci:DIR")
            .remedy("give a folder that is new: sealift serve --init DATA --hostname HOST; the layout in it is DATA/registry"));
    }
    if let Some(pattern) = args.hostname.first().filter(|host| host.starts_with("*.")) {
        return Err(Error::new(Code::Usage, format!("the registry cannot be called {pattern}"))
            .remedy("name the host that clients ask for first, then the pattern: --hostname mirror.lan --hostname '*.lan'"));
    }
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let done = serve::prepare(&serve::Wanted {
        folder: absolute.clone(),
        hosts: args.hostname.clone(),
        subject: args.subject.clone().unwrap_or_default(),
        pair: args.tls_cert.clone().zip(args.tls_key.clone()).map(|(certificate, key)| serve::Pair { certificate, key }),
        listen: args.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8443))),
        program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/sealift")),
        uid: rustix::process::getuid().as_raw(),
        now: now(),
    })?;
    for path in &done.made {
        ctx.output.line(&format!("made: {}", path.display()));
    }
    for path in &done.kept {
        ctx.output.line(&format!("kept as it was: {}", path.display()));
    }
    warn_of_kept(args, &done, ctx);
    let at = called(&done);
    say_how(ctx, &absolute, &done, &at);
    let authority = Some(absolute.join("tls/ca.crt")).filter(|_| !done.settings.given);
    let outcome =
        Outcome::done().with("made", &done.made)?.with("kept", &done.kept)?.with("registry", &at)?.with("authority", authority)?;
    outcome.with("user", done.login.as_ref().map(|(user, _)| user))?.with("password", done.login.as_ref().map(|(_, word)| word.as_str()))
}

/// What was asked for and does not hold, since the folder was prepared before with something else.
fn warn_of_kept(args: &Args, done: &serve::Prepared, ctx: &Context) {
    let settings = &done.settings;
    if settings.hosts != args.hostname {
        ctx.output.warn(&format!(
            "the certificate is for {}; for other hosts prepare another folder, or change hosts in serve.json, remove tls/server.crt and run this again",
            settings.hosts.join(", ")
        ));
    }
    if args.listen.is_some_and(|listen| listen != settings.listen) {
        ctx.output.warn(&format!("the folder says to listen at {}; to change it, change listen in serve.json", settings.listen));
    }
    if args.subject.as_ref().is_some_and(|subject| subject.text() != settings.subject) {
        ctx.output.warn("the certificates have another subject; for this one prepare another folder");
    }
    if done.other_pair {
        ctx.output
            .warn("the folder has another certificate and keeps it; to use the one given, replace tls/server.crt and tls/server.key by it");
    }
}

/// What clients call the registry: `host:port`.
fn called(done: &serve::Prepared) -> String {
    let host = done.settings.hosts.first().map_or("localhost", String::as_str);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{host}:{}", done.settings.listen.port())
}

/// The first few of them.
fn numbers(all: &[u32]) -> String {
    let (first, more) = all.split_at_checked(10).unwrap_or((all, &[]));
    let first = first.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if more.is_empty() { first } else { format!("{first} and {} more", more.len()) }
}

/// The next steps in the order they can be done in, ready to be typed.
fn say_how(ctx: &Context, folder: &Path, done: &serve::Prepared, at: &str) {
    let word = |path: &Path| shell_word(&path.display().to_string());
    let (data, unit) = (word(folder), word(&folder.join("sealift-serve.service")));
    ctx.output.lines(&format!(
        "\nrun it:\n  sealift serve {data}\nor as a service:\n  \
         cp {unit} /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now sealift-serve"
    ));
    let ca = match done.settings.given {
        false => word(&folder.join("tls/ca.crt")),
        true => "ca.crt".to_owned(),
    };
    match done.settings.given {
        false => ctx.output.lines(&format!("\ntrust its authority {ca} on every host that pulls, on RHEL and Fedora:")),
        true => ctx.output.lines(
            "\nthe authority that signed the certificate must be trusted on every host that pulls. Where it is not, with its certificate \
             as ca.crt, on RHEL and Fedora:",
        ),
    }
    // Folders of certificates are called as the registry is; a file of the system's store needs a plain name.
    let name: String = at.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect();
    let (podman, docker) = (shell_word(&format!("/etc/containers/certs.d/{at}")), shell_word(&format!("/etc/docker/certs.d/{at}")));
    ctx.output.lines(&format!(
        "  cp {ca} /etc/pki/ca-trust/source/anchors/sealift-{name}.crt && update-ca-trust\n\
         on Debian and Ubuntu:\n  cp {ca} /usr/local/share/ca-certificates/sealift-{name}.crt && update-ca-certificates\n\
         only in podman, skopeo and CRI-O:\n  mkdir -p {podman} && cp {ca} {podman}/ca.crt\n\
         only in docker:\n  mkdir -p {docker} && cp {ca} {docker}/ca.crt"
    ));
    let at = shell_word(at);
    if let Some((user, password)) = &done.login {
        // Not as an argument: those are visible to every user of the host.
        let password = password.as_str();
        ctx.output.lines(&format!("\nlog in with the password {password} (it is kept nowhere):\n  podman login -u {user} {at}"));
    }
    let option = if done.settings.given { String::new() } else { format!(" --ca-file {ca}") };
    ctx.output.lines(&format!("\nsee that all is well:\n  sealift preflight --to {at}{option}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_end_of_a_certificate_is_told_in_time() {
        let told = |end: u64| {
            let lines = RefCell::new(Vec::new());
            warn_of_end(end, &|line| lines.borrow_mut().push(line.to_owned()));
            lines.into_inner()
        };
        assert!(told(now() + SOON + 60).is_empty());
        assert!(told(now() + SOON - 60).concat().starts_with("the certificate ends on "));
        assert!(told(now() - 1).concat().contains("clients refuse it"));
    }

    #[test]
    fn only_a_prefix_makes_a_layout() {
        assert_eq!(layout_of(Path::new("oci:a/b")), Some(PathBuf::from("a/b")));
        assert_eq!((layout_of(Path::new("oci:")), layout_of(Path::new("/media/disc"))), (None, None));
    }
}
