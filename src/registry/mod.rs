//! A client of the OCI distribution specification (and of what registries make of it), with a synchronous face.
//!
//! [`Client`] owns the network threads and what is known of each host: scheme, challenges, tokens, back-off.
//! [`Repository`] is one repository at one host: a [`crate::blob::BlobSource`] and [`crate::blob::BlobSink`] with
//! manifests and tags. Its methods block the calling thread, which must not itself be a thread of an async runtime.
//!
//! [`Client`] is also a [`crate::web::Web`]: small documents by address, with the same connections and patience.
//!
//! Only bytes and digests are believed. Media types, `Docker-Content-Digest`, lengths of error bodies and ranges
//! of uploads are all wrong somewhere.

mod answer;
mod auth;
mod blob_reader;
pub mod certs;
mod challenge;
mod client;
pub mod credentials;
mod download;
mod error;
mod headers;
mod host;
pub mod hosts;
mod last_words;
mod location;
mod manifests;
pub mod mirrors;
mod options;
mod outage;
mod pinned;
mod probe;
mod projects;
mod referrers;
mod reply;
mod request;
mod session;
mod software;
mod tags;
mod tls;
mod token;
mod upload;
mod upload_body;
mod web;

pub use blob_reader::BlobReader;
pub use client::{Client, Repository};
pub use error::{Answer, Error, Missing, PullLimit, Reason, Target};
pub use manifests::{FetchedManifest, ManifestHead, ManifestRef};
pub use options::{Options, Timing};
pub use probe::{Greeting, UploadPlace};
pub use projects::Project;
pub use software::Software;
