//! Release signatures: where they and the keys for them lie. [`crate::openpgp`] verifies them.

mod error;
mod keys;
mod stores;

pub use error::{KeyError, StoreError};
pub use keys::{PINNED, RED_HAT_RELEASE_2, find_keys};
pub use stores::{DEFAULT_STORES, find};
