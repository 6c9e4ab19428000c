//! `sealift serve`: the embedded registry.

mod content;
mod init;

use super::output::bytes;
use super::{Context, Outcome, now, rfc3339};
use crate::error::{Code, Error};
use crate::fs::{self, Dir, File, Trouble};
use crate::layout::Layout;
use crate::serve::{self, Access, Anonymous, LayoutStore, Options, Server, Subject, Tls};
use crate::text::{counted, shell_word, shown};
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
///
/// /healthz answers while the process lives, without a login; /metrics, with the login of a pull, counts requests for Prometheus.
/// Every request is a line on standard error: time, address, user, request, status, length, duration.
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
    /// What needs no login: pull, or push (which is everything). With neither this nor --htpasswd, which only an address of this
    /// host alone allows, everybody may pull, and nobody push
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
and need no word of each other; a second one that would take pushes is refused. See sealift-security(7).";

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
        (true, _) => init::prepare(&args, ctx),
        (_, true) => collect(&args, ctx),
        _ => serve(args, ctx),
    }
}

/// The only path, where there may be but one.
fn single(args: &Args) -> Result<&Path, Error> {
    match args.paths.as_slice() {
        [one] => Ok(one),
        paths if paths.iter().any(|path| layout_of(path).is_some()) => Err(Error::new(Code::Usage, "a layout oci:DIR is served alone")
            .remedy("serve the layout and the volumes by two registries, at two ports: --listen ADDRESS:PORT")),
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
        None => {
            return Err(Error::new(Code::Usage, "--collect-garbage takes oci:DIR, or a folder made by --init")
                .remedy("volumes have no garbage; see `sealift serve --help`"));
        }
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
    /// Certificate and key.
    pair: Option<(PathBuf, PathBuf)>,
    htpasswd: Option<PathBuf>,
}

/// What was asked for, and where it was not, what a prepared folder says.
fn face(args: &Args, ctx: &Context) -> Result<Face, Error> {
    let given = args.tls_cert.clone().zip(args.tls_key.clone());
    let Some(folder) = args.paths.first().filter(|first| layout_of(first).is_none() && serve::is_prepared(first)) else {
        let listen = args.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 5000)));
        return Ok(Face { listen, pair: given, htpasswd: args.htpasswd.clone() });
    };
    let settings = serve::settings(folder)?;
    let own = (folder.join("tls/server.crt"), folder.join("tls/server.key"));
    warn_of_open_key(&folder.join("tls/ca.key"), ctx);
    Ok(Face {
        listen: args.listen.unwrap_or(settings.listen),
        pair: given.or(Some(own).filter(|_| !args.plain_http)),
        htpasswd: args.htpasswd.clone().or_else(|| Some(folder.join("htpasswd"))),
    })
}

fn serve(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    // First: whoever may not look into a folder does not see what it is.
    for path in args.paths.iter().filter(|path| layout_of(path).is_none()) {
        if fs::is_folder(path)? {
            Dir::open(path)?;
        }
    }
    let face = face(&args, ctx)?;
    if face.pair.is_none() && !args.plain_http {
        return Err(serve::Error::NoTls.into());
    }
    let tls = face.pair.as_ref().map(|(certificate, key)| Tls::read(certificate, key)).transpose()?;
    if let Some((_, key)) = &face.pair {
        warn_of_open_key(key, ctx);
    }
    if let Some(end) = tls.as_ref().and_then(|tls| tls.not_after) {
        warn_of_end(end, &|line| ctx.output.warn(line));
    }
    let anonymous = match args.allow_anonymous {
        None => Anonymous::Nothing,
        Some(Open::Pull) => Anonymous::Pull,
        Some(Open::Push) => Anonymous::Push,
    };
    let access = users(anonymous, &face, &args)?;
    access.suits(face.listen)?;
    // Last: what is not served, for whatever reason, is not made either.
    let (store, hourly) = content::open(&args, access.takes_pushes(), ctx)?;
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

/// Who may do what.
fn users(anonymous: Anonymous, face: &Face, args: &Args) -> Result<Access, Error> {
    let access = Access::new(anonymous, face.htpasswd.as_deref());
    let own = args.paths.first().map(|folder| folder.join("htpasswd")).filter(|own| face.htpasswd.as_ref() == Some(own));
    match (access, own) {
        // Not a medium that is away: a file of the prepared folder.
        (Err(serve::Error::Fs(error)), Some(own)) if error.trouble() == Trouble::Absent => {
            let word = |path: &Path| shell_word(&path.display().to_string());
            let folder = args.paths.first().map_or(Path::new(""), PathBuf::as_path);
            Err(Error::from(&serve::Error::Fs(error)).remedy(format!(
                "make a user: `htpasswd -Bc {} USER`; or let --init make one, and its password: `sealift serve --init {} --hostname {}`",
                word(&own),
                word(folder),
                serve::settings(folder)?.hosts.join(" --hostname ")
            )))
        }
        (access, _) => Ok(access?),
    }
}

/// A private key that others can read or write. Told and not refused: clusters mount theirs so unless they are told otherwise.
fn warn_of_open_key(key: &Path, ctx: &Context) {
    if let Ok(Some(mode)) = File::open_path(key).and_then(|file| file.exposed()) {
        let (path, word) = (shown(&key.display().to_string()).to_string(), shell_word(&key.display().to_string()));
        ctx.output.warn(&format!("the private key {path} is open to other users (mode {mode:03o}): `chmod 600 {word}`"));
    }
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
