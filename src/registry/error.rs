//! What can go wrong between here and a registry.

use super::certs::TlsError;
use super::credentials::CredentialError;
use crate::digest::Digest;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What was asked for: `host/repository:tag`, `host/repository@digest`, or less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Registry as the user writes it.
    pub host: String,
    /// Repository; empty where only the host is meant.
    pub repository: String,
    /// Tag or digest; empty where only the repository is meant.
    pub reference: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if !self.repository.is_empty() {
            write!(f, "/{}", self.repository)?;
        }
        match self.reference.as_str() {
            "" => Ok(()),
            digest if digest.contains(':') => write!(f, "@{digest}"),
            tag => write!(f, ":{tag}"),
        }
    }
}

/// What a server answered instead of what was asked for. The texts are escaped and shortened already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The registry's error code (distribution specification, "Error Codes"), if it gave one.
    pub code: Option<String>,
    /// Its words: at most 300 characters, without HTML.
    pub message: String,
    /// Which host said so, when it is not the registry itself (a token service, the target of a redirect).
    pub from: Option<String>,
    /// A digest named in the answer, as registries do for what they miss.
    pub digest: Option<Digest>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// What it says of pulls that are counted.
    pub pulls: Option<PullLimit>,
}

/// How many pulls a registry allows in a while, as Docker Hub says in `ratelimit-limit` and `ratelimit-remaining`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullLimit {
    /// Pulls allowed within `window`.
    pub limit: u64,
    /// Pulls left of them.
    pub remaining: u64,
    /// The span they are counted in.
    pub window: Duration,
}

impl PullLimit {
    /// The span, as a person says it.
    pub fn span(&self) -> String {
        match self.window.as_secs() {
            seconds if seconds >= 3600 => format!("{} h", seconds.div_ceil(3600)),
            seconds if seconds >= 60 => format!("{} min", seconds.div_ceil(60)),
            seconds => format!("{seconds} s"),
        }
    }
}

impl fmt::Display for PullLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pulls in {} are left", self.remaining, self.limit, self.span())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(from) = &self.from {
            write!(f, "{from} answered ")?;
        }
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(pulls) = &self.pulls {
            write!(f, " ({pulls})")?;
        }
        Ok(())
    }
}

/// Why no HTTP answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The name has no address here.
    #[error("its name cannot be resolved")]
    Dns,
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The network knows no way there, or nobody at its end: a machine that is switched off.
    #[error("no route to it")]
    NoRoute,
    /// No answer to the attempt to connect.
    #[error("no connection within the time limit")]
    ConnectTimeout,
    /// The certificate's issuer is not trusted.
    #[error("its certificate is not signed by a trusted authority")]
    UnknownCa,
    /// The certificate is an authority's own (`CA:TRUE`), and not one that was named here.
    #[error("its certificate is self-signed")]
    SelfSigned,
    /// The certificate is for other names.
    #[error("its certificate is for another name")]
    NameMismatch,
    /// The certificate's validity has ended, or a clock is ahead. When, and what the clock of this host says.
    #[error("its certificate expired on {end}; this host's clock says {now}")]
    Expired {
        /// Its last moment, as HTTP writes dates; empty words where it is not told.
        end: String,
        /// What was compared with it.
        now: String,
    },
    /// The certificate's validity has not begun, or a clock is behind.
    #[error("its certificate is not valid before {start}; this host's clock says {now}")]
    NotYetValid {
        /// Its first moment.
        start: String,
        /// What was compared with it.
        now: String,
    },
    /// The server wants a client certificate, or does not take the one shown.
    #[error("it wants another client certificate")]
    ClientCertificate,
    /// Plain HTTP is spoken where TLS was expected.
    #[error("it does not speak TLS on this port")]
    PlainHttp,
    /// The connection broke.
    #[error("connection lost ({0})")]
    Lost(String),
    /// Any other failure of TLS.
    #[error("TLS failed ({0})")]
    Tls(String),
    /// A proxy refused to connect.
    #[error("the proxy failed ({0})")]
    Proxy(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Reason {
    /// True when no connection came about: nobody is there, or the way is blocked.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Reason::Dns | Reason::Refused | Reason::NoRoute | Reason::ConnectTimeout | Reason::Proxy(_))
    }
}

/// What was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The repository, or the project it should be in.
    Repository,
    /// The manifest or tag.
    Manifest,
    /// The blob.
    Blob,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::Repository => "repository",
            Missing::Manifest => "manifest",
            Missing::Blob => "blob",
        })
    }
}

fn sent(credentials: &bool) -> &'static str {
    if *credentials { "with credentials" } else { "without credentials" }
}

/// A failed request to a registry. Holds no credential, no token and no URL with a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host, with its port.
        host: String,
        /// Why.
        reason: Reason,
        /// True where it was asked without TLS.
        plain: bool,
    },
    /// The host name cannot be part of an address.
    #[error("{host:?} is not a registry host")]
    BadHost {
        /// As given.
        host: String,
    },
    /// `/v2/` is not there: not a registry, another port, or a path in front of it.
    #[error("{host} is not a registry: {answer}")]
    NotARegistry {
        /// The host.
        host: String,
        /// True where it was asked without TLS.
        plain: bool,
        /// What it said.
        answer: Box<Answer>,
    },
    /// 401, or 403 to somebody who showed no login.
    #[error("{target}: access refused ({}): {answer}", sent(.credentials_sent))]
    LoginRefused {
        /// What was asked for.
        target: Arc<Target>,
        /// True when credentials for this host were found and shown.
        credentials_sent: bool,
        /// What the registry or its token service said.
        answer: Box<Answer>,
    },
    /// The token service is reached in plain HTTP although the registry speaks TLS: credentials stay here.
    #[error("{host} wants credentials sent to {realm} without TLS")]
    InsecureRealm {
        /// The registry.
        host: String,
        /// Host of the token service.
        realm: String,
    },
    /// 404.
    #[error("{target}: {what} not found: {answer}")]
    NotFound {
        /// What was asked for.
        target: Arc<Target>,
        /// What is missing.
        what: Missing,
        /// What the registry said.
        answer: Box<Answer>,
    },
    /// 429, still after all tries.
    #[error("{target}: too many requests: {answer}")]
    RateLimited {
        /// What was asked for.
        target: Arc<Target>,
        /// What the registry said.
        answer: Box<Answer>,
    },
    /// 413, also for the smallest pieces where pieces can be sent.
    #[error("{target}: a body is too large for this registry or a proxy before it: {answer}")]
    TooLarge {
        /// What was asked for.
        target: Arc<Target>,
        /// What was said.
        answer: Box<Answer>,
    },
    /// A document from the registry is larger than it may be.
    #[error("{target}: the answer is larger than {limit} bytes")]
    OverLimit {
        /// What was asked for.
        target: Arc<Target>,
        /// The ceiling.
        limit: u64,
    },
    /// Bytes or headers with another digest.
    #[error("{target}: expected {expected}, found {found}")]
    WrongDigest {
        /// What was asked for.
        target: Arc<Target>,
        /// As it should be.
        expected: Digest,
        /// As it is (boxed to keep the error small).
        found: Box<Digest>,
    },
    /// The registry has the blob in another size.
    #[error("{target}: expected {expected} bytes, the registry has {found}")]
    WrongSize {
        /// What was asked for.
        target: Arc<Target>,
        /// Size in the descriptor.
        expected: u64,
        /// Size of what came or was announced.
        found: u64,
    },
    /// Bodies end early, still after all tries.
    #[error("{target}: the content ended after {found} of {expected} bytes")]
    ShortBody {
        /// What was asked for.
        target: Arc<Target>,
        /// Size in the descriptor.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// Nothing came or went for too long.
    #[error("{target}: no progress for {} s", .after.as_secs_f32())]
    Stalled {
        /// What was asked for.
        target: Arc<Target>,
        /// How long.
        after: Duration,
    },
    /// An answer outside the protocol.
    #[error("{target}: unexpected answer: {what}")]
    Protocol {
        /// What was asked for.
        target: Arc<Target>,
        /// What is wrong with it.
        what: String,
    },
    /// A redirect from TLS to plain HTTP for content without a digest, or in circles.
    #[error("{target}: redirect to {to} not followed")]
    Redirect {
        /// What was asked for.
        target: Arc<Target>,
        /// Host of the redirect.
        to: String,
    },
    /// Uploads are sent to another host, which refuses them or cannot be reached: the registry does not know its own name.
    #[error("{target}: the registry sends uploads to {to}, {}", .silent.as_ref().map_or_else(|| "which refuses them".to_owned(), |why| format!("and there is nobody: {why}")))]
    ForeignLocation {
        /// What was asked for.
        target: Arc<Target>,
        /// Host in `Location`.
        to: String,
        /// Why it cannot be reached, where that is it.
        silent: Option<Reason>,
    },
    /// 408, 499, 5xx, still after all tries.
    #[error("{target}: the registry failed: {answer}")]
    Server {
        /// What was asked for.
        target: Arc<Target>,
        /// What it said.
        answer: Box<Answer>,
    },
    /// 405: read-only, a pull-through cache, or deletion switched off.
    #[error("{target}: the registry does not allow this: {answer}")]
    Unsupported {
        /// What was asked for.
        target: Arc<Target>,
        /// What it said.
        answer: Box<Answer>,
    },
    /// 403 in spite of a login: no right, a quota, a policy.
    #[error("{target}: denied: {answer}")]
    Denied {
        /// What was asked for.
        target: Arc<Target>,
        /// What it said.
        answer: Box<Answer>,
    },
    /// A pushed manifest refers to a blob the registry does not have.
    #[error("{target}: the registry misses a blob of this manifest: {answer}")]
    BlobUnknown {
        /// The manifest.
        target: Arc<Target>,
        /// What it said; `digest` names the blob where the registry does.
        answer: Box<Answer>,
    },
    /// A pushed index refers to a manifest the registry does not have: it takes no sparse indexes.
    #[error("{target}: the registry misses a member of this index: {answer}")]
    ChildMissing {
        /// The index.
        target: Arc<Target>,
        /// What it said; `digest` names the member where the registry does.
        answer: Box<Answer>,
    },
    /// The tag exists with another digest and may not be moved.
    #[error("{target}: the tag is immutable: {answer}")]
    ImmutableTag {
        /// The tag.
        target: Arc<Target>,
        /// What it said.
        answer: Box<Answer>,
    },
    /// Any other refusal.
    #[error("{target}: refused: {answer}")]
    Refused {
        /// What was asked for.
        target: Arc<Target>,
        /// What it said.
        answer: Box<Answer>,
    },
    /// The bytes to be sent could not be read.
    #[error("{target}: reading the content to send: {source}")]
    Source {
        /// What was to be sent.
        target: Arc<Target>,
        /// Why; [`crate::blob::Wrong::of`] tells wrong bytes.
        source: io::Error,
    },
    /// Credentials could not be read.
    #[error("{host}: {source}")]
    Credential {
        /// For which host.
        host: String,
        /// Why.
        source: CredentialError,
    },
    /// TLS settings could not be read or used.
    #[error("{host}: {source}")]
    Tls {
        /// For which host.
        host: String,
        /// Why.
        source: TlsError,
    },
    /// A certificate or key was read, but is none.
    #[error("{host}: certificate or key not usable: {why}")]
    BadCertificate {
        /// For which host.
        host: String,
        /// Why.
        why: String,
    },
    /// The threads of the network side could not be started.
    #[error("cannot start the network threads: {0}")]
    Runtime(io::Error),
    /// The person asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// Wraps it for a [`std::io::Read`]; [`Error::of`] takes it out again.
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// The registry's error inside an I/O error, if that is what it is.
    pub fn of(error: &io::Error) -> Option<&Error> {
        error.get_ref()?.downcast_ref()
    }

    /// The answer of the server, where there was one.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Error::NotARegistry { answer, .. }
            | Error::LoginRefused { answer, .. }
            | Error::NotFound { answer, .. }
            | Error::RateLimited { answer, .. }
            | Error::TooLarge { answer, .. }
            | Error::Server { answer, .. }
            | Error::Unsupported { answer, .. }
            | Error::Denied { answer, .. }
            | Error::BlobUnknown { answer, .. }
            | Error::ChildMissing { answer, .. }
            | Error::ImmutableTag { answer, .. }
            | Error::Refused { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// True where a later try may succeed: broken connections, 408, 429, 499 and 5xx but for those that say
    /// the request itself is at fault.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { reason, .. } => reason.is_silence() || matches!(reason, Reason::Lost(_)),
            Error::RateLimited { .. } | Error::Stalled { .. } | Error::ShortBody { .. } => true,
            // 501 and 505 are about the request. distribution answers 500 to layers with `urls` it does not
            // allow; asking again changes nothing.
            Error::Server { answer, .. } => {
                let permanent = answer.code.as_deref() == Some("MANIFEST_BLOB_UNKNOWN") || answer.message.contains("invalid URL on layer");
                matches!(answer.status, 408 | 499 | 500 | 502 | 503 | 504 | 522) && !permanent
            }
            _ => false,
        }
    }
}
