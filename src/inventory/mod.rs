//! What a target holds, by its receipts: where an image is, whether all of it is there, and what can be deleted.
//!
//! A receipt is what a run that pushed was told by the target. They are kept on that host, and [`publish`] puts them into
//! the registry itself, so that any host can ask. Those from the registry are as trustworthy as the registry: whoever may write there
//! may write them; they decide what is looked at or deleted there, and nothing else.
//!
//! [`find()`] answers where an image is, [`check()`] asks the target for everything it should have, [`prove`] reads the blobs of a layout, [`resolve`] turns a
//! `DeleteImageSetConfiguration` into a [`DeleteList`] without asking any source, and [`delete()`] carries one out: a manifest that
//! anything else in its repository still needs stays.

#![deny(clippy::indexing_slicing)]

mod check;
mod delete;
mod error;
mod find;
mod list;
mod resolve;
mod shelf;
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;

pub use check::{Expected, Lack, Lacking, check, of_plan, of_receipts, prove};
pub use delete::{Deleted, Deletion, Doomed, Kept, Stay, delete, plan, remaining};
pub use error::InventoryError;
pub use find::{Asked, Place, find, near};
pub use list::{DeleteItem, DeleteList};
pub use resolve::{Resolved, Unresolved, resolve};
pub use shelf::{REPOSITORY, fetch, join, path_of, publish, revise, set_of};
