//! Registries: the same answer means one thing of a source and another of the target.

use super::from_io::{Side, io};
use super::{Code, Error};
use crate::registry::certs::TlsError;
use crate::registry::credentials::CredentialError;
use crate::registry::{Answer, Error as RegistryError, Missing, Reason};

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
    match error {
        RegistryError::Unreachable { host, reason } => unreachable(error, host, reason, side),
        RegistryError::Source { target: _, source } => match io(source, side) {
            inner if inner.code == Code::Unclassified => Error::from_chain(Code::Unclassified, error),
            inner => Error { what: error.to_string(), ..inner },
        },
        RegistryError::Credential { host: _, source } => Error { what: error.to_string(), ..source.into() },
        RegistryError::Tls { host: _, source } => Error { what: error.to_string(), ..source.into() },
        RegistryError::Runtime(cause) => Error { what: error.to_string(), ..io(cause, side) },
        RegistryError::Cancelled => Error::interrupted(),
        other => match side {
            Side::Source => of_source(other),
            Side::Target => of_target(other),
        },
    }
}

/// Why no answer came. What concerns TLS has a code of its own: the registry is there, trust is missing.
fn unreachable(error: &RegistryError, host: &str, reason: &Reason, side: Side) -> Error {
    let flag = side.tls_flag();
    let untrusted = |remedy: String| Error::new(Code::CertificateUntrusted, error.to_string()).remedy(remedy);
    let silent = |remedy: String| Error::new(Code::RegistryUnreachable, error.to_string()).remedy(remedy);
    match reason {
        Reason::Dns => silent(format!("check the name with `getent hosts {}`; then run the same command again", name_of(host))),
        Reason::Refused => {
            silent(format!("check the port and that the registry runs: `curl -v {host}/v2/`; then run the same command again"))
        }
        Reason::ConnectTimeout => silent(format!("check firewall and proxy on the way to {host}; then run the same command again")),
        Reason::Proxy(_) => silent(format!("correct HTTPS_PROXY, or name {} in NO_PROXY if it is reached directly", name_of(host))),
        Reason::Lost(_) | Reason::Other(_) => Error::new(Code::RegistryUnreachable, error.to_string()),
        Reason::UnknownCa => untrusted("give the certificate of the registry's authority with --ca-file FILE".into()),
        Reason::NameMismatch => {
            untrusted("use the name the certificate is for, or have the registry's certificate made for this name".into())
        }
        Reason::Expired => {
            untrusted("check the clock of this host with `date`; if it is right, have the registry's certificate renewed".into())
        }
        Reason::ClientCertificate => untrusted("give --client-cert FILE and --client-key FILE that the registry accepts".into()),
        Reason::PlainHttp => untrusted(format!("use the port that speaks TLS, or {flag} in a network you trust")),
        Reason::Tls(_) => untrusted(format!("see what the registry offers: `openssl s_client -connect {host}`")),
    }
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn told(code: Code, error: &RegistryError) -> Error {
    Error::new(code, error.to_string())
}

fn login(error: &RegistryError, host: &str, sent: bool, right: &str) -> Error {
    told(Code::LoginRefused, error).remedy(match sent {
        true => {
            format!("the credentials for {host} were refused: log in again, with an account that has {right} rights on this repository")
        }
        false => {
            format!("no credentials for {host} were found: `podman login --authfile auth.json {host}`, then give --authfile auth.json")
        }
    })
}

fn wait(answer: &Answer) -> String {
    match answer.retry_after {
        Some(after) => format!("wait {} s, then run the same command again, with --parallel 1", after.as_secs().max(1)),
        None => "run the same command again later, with --parallel 1".into(),
    }
}

/// Both sides alike.
fn of_either(error: &RegistryError) -> Error {
    match error {
        RegistryError::BadHost { host: _ } => told(Code::BadReference, error).remedy("write the registry as HOST or HOST:PORT"),
        RegistryError::NotARegistry { host, answer: _ } => told(Code::RegistryUnreachable, error)
            .remedy(format!("check port and name: `curl -v {host}/v2/` must answer as a registry, without a path in front of /v2/")),
        RegistryError::InsecureRealm { host: _, realm: _ } => {
            told(Code::LoginRefused, error).remedy("set the address of the registry's token service (auth.token.realm) to one with https")
        }
        RegistryError::RateLimited { target: _, answer } => told(Code::RegistryFailed, error).remedy(wait(answer)),
        RegistryError::Server { target: _, answer: _ } => told(Code::RegistryFailed, error),
        RegistryError::Stalled { target: _, after: _ } => told(Code::RegistryUnreachable, error),
        RegistryError::Redirect { target: _, to } => told(Code::RegistryFailed, error)
            .remedy(format!("correct the registry's own address (https) in its configuration; it sends to {to}")),
        RegistryError::BadCertificate { host: _, why: _ } => {
            told(Code::BadDocument, error).remedy("give certificate and key in PEM form (--ca-file, --client-cert, --client-key, certs.d)")
        }
        _ => told(Code::RegistryFailed, error),
    }
}

fn of_source(error: &RegistryError) -> Error {
    match error {
        RegistryError::LoginRefused { target, credentials_sent, answer: _ } => {
            login(error, &target.host, *credentials_sent, "pull").because("some registries also answer so for an image that does not exist")
        }
        RegistryError::Denied { target, answer: _ } => told(Code::LoginRefused, error).remedy(format!(
            "let the account pull {}, or look into the project's policy: the registry's words are above",
            target.repository
        )),
        RegistryError::NotFound { target: _, what, answer: _ } => told(Code::SourceMissing, error).remedy(match what {
            Missing::Repository => "correct host and path of the reference, log in if it is private, or pack the rest with --keep-going",
            Missing::Manifest => "correct tag or digest of the reference, or pack the rest with --keep-going",
            Missing::Blob => "the registry lost a blob of this image: have it pushed there again, or pack the rest with --keep-going",
        }),
        RegistryError::WrongDigest { .. } | RegistryError::WrongSize { .. } | RegistryError::ShortBody { .. } => {
            told(Code::SourceWrong, error)
        }
        RegistryError::OverLimit { .. } => told(Code::CannotCarry, error),
        RegistryError::TooLarge { .. }
        | RegistryError::Protocol { .. }
        | RegistryError::ForeignLocation { .. }
        | RegistryError::Unsupported { .. }
        | RegistryError::BlobUnknown { .. }
        | RegistryError::ChildMissing { .. }
        | RegistryError::ImmutableTag { .. }
        | RegistryError::Refused { .. } => told(Code::RegistryFailed, error),
        RegistryError::Unreachable { .. }
        | RegistryError::BadHost { .. }
        | RegistryError::NotARegistry { .. }
        | RegistryError::InsecureRealm { .. }
        | RegistryError::RateLimited { .. }
        | RegistryError::Stalled { .. }
        | RegistryError::Redirect { .. }
        | RegistryError::Server { .. }
        | RegistryError::Source { .. }
        | RegistryError::Credential { .. }
        | RegistryError::Tls { .. }
        | RegistryError::BadCertificate { .. }
        | RegistryError::Runtime(_)
        | RegistryError::Cancelled => of_either(error),
    }
}

fn of_target(error: &RegistryError) -> Error {
    let refused = || told(Code::PushRefused, error);
    match error {
        RegistryError::LoginRefused { target, credentials_sent, answer: _ } => login(error, &target.host, *credentials_sent, "push"),
        RegistryError::Denied { .. } => {
            refused().remedy("do what the registry's words above ask for: raise the project's quota, or give the account push rights")
        }
        RegistryError::NotFound { target, what, answer: _ } => refused().remedy(match what {
            Missing::Repository => format!("create the project or repository {} in the registry, then run the same command again", target.repository),
            Missing::Manifest | Missing::Blob => "run the same command again: what the registry lost is pushed again".into(),
        }),
        RegistryError::TooLarge { .. } => refused().remedy(
            "raise the body limit of the proxy before the registry (nginx: client_max_body_size 0), then run the same command again",
        ),
        RegistryError::Unsupported { .. } => {
            refused().remedy("switch off the registry's read-only mode, or push to a hosted repository instead of a proxy cache")
        }
        RegistryError::ForeignLocation { target: _, to } => refused()
            .remedy(format!("set the registry's own address (distribution: http.host; Harbor: external_url) in place of {to}")),
        RegistryError::BlobUnknown { .. } => {
            refused().remedy("run the same command again; if it stays so, the registry's storage or a garbage collection lost the blob")
        }
        RegistryError::ChildMissing { .. } => refused().remedy(
            "let the registry take sparse indexes (distribution: validation.manifests.indexes.platforms: none), or pack all platforms of this image",
        ),
        RegistryError::ImmutableTag { .. } => {
            refused().remedy("lift the registry's tag immutability for this repository, or pack the image under another targetTag")
        }
        RegistryError::WrongDigest { .. } | RegistryError::WrongSize { .. } => {
            refused().remedy("check the registry's storage and the proxies before it: it holds other bytes than were pushed")
        }
        RegistryError::Refused { .. } => refused(),
        RegistryError::OverLimit { .. } | RegistryError::ShortBody { .. } | RegistryError::Protocol { .. } => told(Code::RegistryFailed, error),
        RegistryError::Unreachable { .. }
        | RegistryError::BadHost { .. }
        | RegistryError::NotARegistry { .. }
        | RegistryError::InsecureRealm { .. }
        | RegistryError::RateLimited { .. }
        | RegistryError::Stalled { .. }
        | RegistryError::Redirect { .. }
        | RegistryError::Server { .. }
        | RegistryError::Source { .. }
        | RegistryError::Credential { .. }
        | RegistryError::Tls { .. }
        | RegistryError::BadCertificate { .. }
        | RegistryError::Runtime(_)
        | RegistryError::Cancelled => of_either(error),
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
#[path = "registry_tests.rs"]
mod tests;
