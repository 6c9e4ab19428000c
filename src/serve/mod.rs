//! The embedded registry (`sealift serve`): the OCI distribution specification 1.1 over a [`Store`].
//!
//! The HTTP face knows no store: [`handle`](self) turns requests into calls of [`Store`] and [`Writer`], which are plain
//! synchronous Rust and run on threads of their own. Blobs pass in bounded pieces in both directions. There are two stores:
//! [`LayoutStore`] (an OCI image layout, read and written) and [`ArchiveStore`] (verified volumes, read only; every block is
//! compared before a byte of it leaves).
//!
//! A layout has one space for blobs, and so has this registry: what is stored can be pulled under any repository name, by digest,
//! unless it was deleted there. Tags belong to their repository.

mod access;
mod answer;
mod archive_store;
mod attached;
mod body;
mod deleted;
mod error;
mod handle;
mod layout_store;
mod layout_writer;
mod lists;
mod metrics;
mod names;
mod path;
mod patient;
mod places;
mod prepare;
mod pull;
mod push;
mod range;
mod server;
mod store;
mod tls;
mod uploads;

pub use access::{Access, Anonymous};
pub use archive_store::ArchiveStore;
pub use error::Error;
pub use layout_store::LayoutStore;
pub use prepare::{Pair, Prepared, Settings, Subject, Wanted, is_prepared, prepare, settings};
pub use server::{Options, Server};
pub use store::{Content, Manifest, Page, Reference, Store, StoreError, Writer};
pub use tls::Tls;
