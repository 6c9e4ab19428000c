//! `sealift serve --init`: a folder is prepared, and the next steps are told.

use super::{Args, layout_of, single, warn_of_open_key};
use crate::cli::{Context, Outcome, now};
use crate::error::{Code, Error};
use crate::serve;
use crate::text::shell_word;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Runs `--init`.
pub(super) fn prepare(args: &Args, ctx: &Context) -> Result<Outcome, Error> {
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
    if let Some(key) = &args.tls_key {
        warn_of_open_key(key, ctx);
    }
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
    let lacking: Vec<&str> = args.hostname.iter().filter(|host| !settings.hosts.contains(host)).map(String::as_str).collect();
    if !lacking.is_empty() {
        ctx.output.warn(&format!(
            "the certificate is for {}, not for {}; for other hosts prepare another folder, or change hosts in serve.json, remove tls/server.crt and run this again",
            settings.hosts.join(", "),
            lacking.join(", ")
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

/// The next steps in the order they can be done in, ready to be typed.
fn say_how(ctx: &Context, folder: &Path, done: &serve::Prepared, at: &str) {
    let word = |path: &Path| shell_word(&path.display().to_string());
    let (data, unit) = (word(folder), word(&folder.join("sealift-serve.service")));
    ctx.output.lines(&format!(
        "\nrun it:\n  sealift serve {data}\nor as a service:\n  \
         cp {unit} /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now sealift-serve"
    ));
    if rustix::process::getuid().is_root() {
        ctx.output.lines("it runs as root, whose the folder is; a folder that another user prepares is served as that user");
    }
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
