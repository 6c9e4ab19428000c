//! Registries: the same answer means one thing of a source and another of the target.

use super::from_io::{Side, io};
use super::{Code, Error};
use crate::registry::certs::TlsError;
use crate::registry::credentials::CredentialError;
use crate::registry::hosts::HostsError;
use crate::registry::mirrors::{ConfError, Fault, NoPlace};
use crate::registry::{Answer, Error as RegistryError, Missing, Reason, Target};

/// What an error of a registry that images are taken from means.
pub fn source(error: &RegistryError) -> Error {
    registry(error, Side::Source)
}

/// What an error of the registry that images are brought into means.
pub fn target(error: &RegistryError) -> Error {
    registry(error, Side::Target)
}

/// What an error of a registry on this side means.
pub(super) fn registry(error: &RegistryError, side: Side) -> Error {
    let both = |code, remedy: &str| Meaning::both(code, Some(remedy.to_owned()));
    let within = |inner: Error| {
        let what = error.to_string();
        // The sentence has the inner one in it, and that its cause.
        Error { causes: inner.causes.iter().filter(|cause| !what.ends_with(cause.as_str())).cloned().collect(), what, ..inner }
    };
    let wrong = Meaning {
        source: (Code::SourceWrong, None),
        target: (
            Code::PushRefused,
            Some("check the registry's storage and the proxies before it: it holds other bytes than were pushed".into()),
        ),
    };
    let meaning = match error {
        RegistryError::Unreachable { host, reason, plain } => return unreachable(error, host, *plain, reason, side),
        RegistryError::Source { target: _, source } | RegistryError::Runtime(source) => return within(io(source, side)),
        RegistryError::Credential { host: _, source } => return within(source.into()),
        RegistryError::Tls { host: _, source } => return within(source.into()),
        RegistryError::Cancelled => return Error::interrupted(),
        RegistryError::LoginRefused { target, credentials_sent, answer: _ } => {
            let told = login(&target.host, *credentials_sent).told(error, side);
            return match side {
                Side::Source => told.because("some registries also answer so for an image that does not exist"),
                // A refused password is told by the token service, or in other words than these, without naming anything.
                Side::Target if *credentials_sent && !target.reference.is_empty() => {
                    told.because("some registries also answer so for a project or organization that does not exist")
                }
                Side::Target => told,
            };
        }
        RegistryError::BadHost { host: _ } => both(Code::BadReference, "write the registry as HOST or HOST:PORT"),
        RegistryError::NotARegistry { host, plain, answer: _ } => both(
            Code::RegistryUnreachable,
            &format!("check port and name: `{}` must answer as a registry, without a path in front of /v2/", curl(host, *plain)),
        ),
        RegistryError::InsecureRealm { host: _, realm: _ } => {
            both(Code::LoginRefused, "set the address of the registry's token service (auth.token.realm) to one with https")
        }
        RegistryError::NotFound { target, what, answer: _ } => not_found(target, *what),
        RegistryError::RateLimited { target, answer } => both(Code::RegistryFailed, &wait(target, answer)),
        RegistryError::TooLarge { target: _, answer: _ } => Meaning::push(
            "raise the body limit of the proxy before the registry (nginx: client_max_body_size 0) or the registry's own (Quay: \
             MAXIMUM_LAYER_SIZE), then run the same command again",
        ),
        RegistryError::OverLimit { target: _, limit: _ } => {
            Meaning { source: (Code::CannotCarry, None), target: (Code::RegistryFailed, None) }
        }
        RegistryError::WrongDigest { target: _, expected: _, found: _ } | RegistryError::WrongSize { target: _, expected: _, found: _ } => {
            wrong
        }
        RegistryError::ShortBody { target: _, expected: _, found: _ } => {
            Meaning { source: (Code::SourceWrong, None), target: (Code::RegistryFailed, None) }
        }
        RegistryError::Stalled { target: _, after: _ } => Meaning::both(Code::RegistryUnreachable, None),
        RegistryError::Server { target: _, answer } if answer.status == 507 => {
            both(Code::RegistryFailed, "make room where the registry keeps its content, then run the same command again")
        }
        RegistryError::Server { target: _, answer } if answer.message.contains("invalid URL on layer") => Meaning::push(
            "let the registry take layers that name addresses of their own (distribution: validation.manifests.urls.allow: ['^https?://'])",
        ),
        RegistryError::Protocol { target: _, what: _ } | RegistryError::Server { target: _, answer: _ } => {
            Meaning::both(Code::RegistryFailed, None)
        }
        RegistryError::Redirect { target: _, to } => {
            both(Code::RegistryFailed, &format!("correct the registry's own address (https) in its configuration; it sends to {to}"))
        }
        RegistryError::ForeignLocation { target: _, to, silent: _ } => Meaning::push(&format!(
            "set the registry's own address (distribution: http.host; Harbor: external_url; Quay: SERVER_HOSTNAME) in place of {to}, or use \
             that name for the registry"
        )),
        RegistryError::Unsupported { target: _, answer: _ } => {
            Meaning::push("switch off the registry's read-only mode, or push to a hosted repository instead of a proxy cache")
        }
        RegistryError::Denied { target, answer: _ } => denied(target),
        RegistryError::BlobUnknown { target: _, answer: _ } => {
            Meaning::push("run the same command again; if it stays so, the registry's storage or a garbage collection lost the blob")
        }
        RegistryError::ChildMissing { target: _, answer: _ } => Meaning::push(
            "let the registry take sparse indexes (distribution: validation.manifests.indexes.platforms: none), or pack all platforms of this image",
        ),
        RegistryError::ImmutableTag { target: _, answer: _ } => {
            Meaning::push("lift the registry's tag immutability for this repository, or pack the image under another targetTag")
        }
        RegistryError::Refused { target: _, answer: _ } => {
            Meaning { source: (Code::RegistryFailed, None), target: (Code::PushRefused, None) }
        }
        RegistryError::BadCertificate { host: _, why: _ } => {
            both(Code::BadDocument, "give certificate and key in PEM form (--ca-file, --client-cert, --client-key, certs.d)")
        }
    };
    meaning.told(error, side)
}

/// Why no answer came. What concerns TLS has a code of its own: the registry is there, trust is missing.
fn unreachable(error: &RegistryError, host: &str, plain: bool, reason: &Reason, side: Side) -> Error {
    let flag = side.tls_flag();
    let untrusted = |remedy: String| Error::new(Code::CertificateUntrusted, error.to_string()).remedy(remedy);
    let silent = |remedy: String| Error::new(Code::RegistryUnreachable, error.to_string()).remedy(remedy);
    match reason {
        Reason::Dns => silent(format!("check the name with `getent hosts {}`; then run the same command again", name_of(host))),
        Reason::Refused => {
            let curl = curl(host, plain);
            silent(format!("check the port and that the registry runs: `{curl}`; then run the same command again"))
        }
        Reason::NoRoute => silent(format!("check that {host} is switched on, and the routes to it; then run the same command again")),
        Reason::ConnectTimeout => silent(format!("check firewall and proxy on the way to {host}; then run the same command again")),
        Reason::Proxy(_) => silent(format!("correct HTTPS_PROXY, or name {} in NO_PROXY if it is reached directly", name_of(host))),
        Reason::Lost(_) | Reason::Other(_) => Error::new(Code::RegistryUnreachable, error.to_string()),
        Reason::UnknownCa => {
            untrusted("give the certificate of the registry's authority, the one that signs now, with --ca-file FILE".into())
        }
        Reason::SelfSigned => untrusted(
            "if it is the registry's own, give this very certificate with --ca-file FILE: `openssl s_client -showcerts -connect HOST:PORT`"
                .replace("HOST:PORT", &with_port(host)),
        ),
        Reason::NameMismatch => {
            untrusted("use the name the certificate is for, or have the registry's certificate made for this name".into())
        }
        Reason::Expired { end: _, now: _ } => {
            untrusted("check the clock of this host with `date`; if it is right, have the registry's certificate renewed".into())
        }
        Reason::NotYetValid { start: _, now: _ } => untrusted(
            "set the clock of this host (`date`, `chronyc tracking`); if it is right, have the registry's certificate made anew".into(),
        ),
        Reason::ClientCertificate => untrusted("give --client-cert FILE and --client-key FILE that the registry accepts".into()),
        Reason::PlainHttp => untrusted(format!("use the port that speaks TLS, or {flag} in a network you trust")),
        Reason::Tls(_) => untrusted(format!("see what the registry offers: `openssl s_client -connect {}`", with_port(host))),
    }
}

/// The ping of a registry, in the scheme it was asked in.
fn curl(host: &str, plain: bool) -> String {
    format!("curl -v {}://{host}/v2/", if plain { "http" } else { "https" })
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The host with its port: `openssl s_client` takes 4433 where none is given.
fn with_port(host: &str) -> String {
    if name_of(host) == host { format!("{host}:443") } else { host.to_owned() }
}

/// Two codes for one answer, each with its remedy; `None` is the remedy of the code.
struct Meaning {
    source: (Code, Option<String>),
    target: (Code, Option<String>),
}

impl Meaning {
    /// The same on both sides.
    fn both(code: Code, remedy: Option<String>) -> Meaning {
        Meaning { source: (code, remedy.clone()), target: (code, remedy) }
    }

    /// A refusal of what was pushed; a source that answers so to a request to read is out of order.
    fn push(remedy: &str) -> Meaning {
        Meaning { source: (Code::RegistryFailed, None), target: (Code::PushRefused, Some(remedy.to_owned())) }
    }

    fn told(self, error: &RegistryError, side: Side) -> Error {
        let (code, remedy) = match side {
            Side::Source => self.source,
            Side::Target => self.target,
        };
        let told = Error::new(code, error.to_string());
        match remedy {
            Some(remedy) => told.remedy(remedy),
            None => told,
        }
    }
}

/// No content: there is none, it is refused, or the registry does not speak as one.
fn not_found(target: &Target, what: Missing) -> Meaning {
    let source = match what {
        Missing::Repository => "correct host and path of the reference, log in if it is private, or pack the rest with --keep-going",
        Missing::Manifest => "correct tag or digest of the reference, or pack the rest with --keep-going",
        Missing::Blob => "the registry lost a blob of this image: have it pushed there again, or pack the rest with --keep-going",
    };
    let push = match what {
        Missing::Repository => {
            format!("create the project or repository {} in the registry, then run the same command again", target.repository)
        }
        Missing::Manifest | Missing::Blob => "run the same command again: what the registry lost is pushed again".into(),
    };
    Meaning { source: (Code::SourceMissing, Some(source.into())), target: (Code::PushRefused, Some(push)) }
}

fn login(host: &str, sent: bool) -> Meaning {
    let remedy = |right: &str| {
        Some(match sent {
            true => {
                format!(
                    "the credentials for {host} were refused: log in again (`podman login --authfile auth.json {host}`, then --authfile \
                     auth.json), with an account that has {right} rights on this repository"
                )
            }
            false => {
                format!("no credentials for {host} were found: `podman login --authfile auth.json {host}`, then give --authfile auth.json")
            }
        })
    };
    Meaning { source: (Code::LoginRefused, remedy("pull")), target: (Code::LoginRefused, remedy("push")) }
}

fn denied(target: &Target) -> Meaning {
    let pull = format!("let the account pull {}, or look into the project's policy: the registry's words are above", target.repository);
    let push = "do what the registry's words above ask for: raise the project's quota, or give the account push rights";
    Meaning { source: (Code::LoginRefused, Some(pull)), target: (Code::PushRefused, Some(push.into())) }
}

fn wait(target: &Target, answer: &Answer) -> String {
    if let Some(pulls) = &answer.pulls {
        let (host, span) = (&target.host, pulls.span());
        return format!(
            "log in (`podman login {host}`): accounts may pull more than {} images in {span}; or run the same command again after {span}: \
             what was fetched is kept",
            pulls.limit
        );
    }
    match answer.retry_after {
        Some(after) => format!("wait {} s, then run the same command again, with --parallel 1", after.as_secs().max(1)),
        None => "run the same command again later, with --parallel 1".into(),
    }
}

impl From<&CredentialError> for Error {
    fn from(error: &CredentialError) -> Error {
        let document = |remedy: String| Error::from_chain(Code::BadDocument, error).remedy(remedy);
        let helper = |helper: &str, host: &str| {
            Error::from_chain(Code::LoginRefused, error)
                .remedy(format!("see what it says: `echo {host} | {helper} get`; or give --authfile FILE"))
        };
        match error {
            CredentialError::File(inner) => inner.into(),
            CredentialError::NotJson { path, line: _, column: _ } => {
                document(format!("log in anew: `podman login --authfile {} HOST`, after moving the broken file away", path.display()))
            }
            CredentialError::BadSecret { path: _ } => {
                document("take the secret out with `oc extract` and give that file with --authfile".into())
            }
            CredentialError::BadAuth { path, key } => {
                document(format!("log in anew: `podman login --authfile {} {}`", path.display(), crate::text::shown(key)))
            }
            CredentialError::HelperName { path, suffix: _ } => {
                document(format!("correct credHelpers and credsStore in {}", path.display()))
            }
            CredentialError::HelperMissing { path: _, helper } => Error::from_chain(Code::LoginRefused, error)
                .remedy(format!("install {helper} on PATH, or give --authfile FILE with an entry of its own")),
            CredentialError::HelperStart { helper: name, source: _ } => helper(name, "HOST"),
            CredentialError::HelperTimeout { helper: name, host, seconds: _ } => helper(name, host),
            CredentialError::HelperFailed { helper: name, host, status: _ } => helper(name, host),
            CredentialError::HelperAnswer { helper: name, host } => helper(name, host),
        }
    }
}

impl From<&NoPlace> for Error {
    fn from(error: &NoPlace) -> Error {
        let told = Error::new(Code::SourceMissing, error.to_string());
        match error {
            NoPlace::Blocked { name: _, prefix: _ } => told.remedy(
                "remove `blocked` from that entry of registries.conf, add a mirror that may be asked, or give another --registries-conf",
            ),
            NoPlace::NoReference { name: _, into: _ } => {
                Error { code: Code::BadDocument, ..told }.remedy("correct the location in registries.conf: HOST[:PORT]/PATH")
            }
        }
    }
}

impl From<&ConfError> for Error {
    fn from(error: &ConfError) -> Error {
        let (path, fault) = match error {
            ConfError::File(inner) => return inner.into(),
            ConfError::Content { path, fault } => (path.display(), fault),
        };
        let told = Error::new(Code::BadDocument, error.to_string());
        match fault {
            Fault::Version1 => told.remedy(format!("write {path} in version 2 of the format: a [[registry]] table for each registry")),
            Fault::Syntax { line: _, why: _ }
            | Fault::Nameless
            | Fault::Location(_)
            | Fault::NoLocation(_)
            | Fault::Wildcard(_)
            | Fault::PullOfPrimary(_)
            | Fault::Pull(_)
            | Fault::BothPulls(_)
            | Fault::Contradiction { name: _, what: _ } => {
                told.remedy(format!("correct {path} (registries.conf, version 2), or give another file with --registries-conf"))
            }
        }
    }
}

impl From<&HostsError> for Error {
    fn from(error: &HostsError) -> Error {
        let told = Error::new(Code::BadDocument, error.to_string());
        match error {
            HostsError::File(inner) => inner.into(),
            HostsError::Syntax { path, line: _, why: _ } | HostsError::Value { path, host: _, fault: _ } => {
                told.remedy(format!("correct {}: sealift-hosts(5) describes it", path.display()))
            }
        }
    }
}

impl From<&TlsError> for Error {
    fn from(error: &TlsError) -> Error {
        let told = |code| Error::from_chain(code, error);
        match error {
            TlsError::File(inner) => inner.into(),
            TlsError::MissingKey { certificate: _, key } => {
                told(Code::FileMissing).remedy(format!("put the key to {}, or remove the certificate", key.display()))
            }
            TlsError::MissingCertificate { certificate, key: _ } => {
                told(Code::FileMissing).remedy(format!("put the certificate to {}, or remove the key", certificate.display()))
            }
            TlsError::NoKeyGiven { certificate: _ } => told(Code::Usage).remedy("give the key with --client-key FILE"),
            TlsError::NoCertificateGiven { key: _ } => told(Code::Usage).remedy("give the certificate with --client-cert FILE"),
            TlsError::NotPem { path, what: _ } => told(Code::BadDocument)
                .remedy(format!("give it in PEM form; from DER: `openssl x509 -inform der -in {} -out ca.pem`", path.display())),
            TlsError::Host(_) => told(Code::BadReference).remedy("write the registry as HOST or HOST:PORT"),
        }
    }
}

#[cfg(test)]
mod tests;
