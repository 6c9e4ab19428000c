//! The connected side: from a wish to a signed set of volumes.
//!
//! ```text
//! Wish -> resolve -> PackPlan -> fetch into the workspace -> write volumes -> seal -> read back
//! ```
//!
//! [`plan()`] asks the sources and decides everything; [`run()`] decides nothing new. Both sides of the run, fetching and
//! writing, overlap: a blob is written as soon as it and all before it in the plan are there.

mod enforce;
mod error;
mod fetch;
mod pieces;
mod plan;
mod referrers;
mod resolve;
mod run;
mod seal;
mod signatures;
mod wish;
mod write;

pub use enforce::{Court, enforce};
pub use error::{Error, Failure, Reason};
pub use plan::{Estimate, Options, PackPlan, PlannedBlob};
pub use resolve::plan;
pub use run::{Job, Report, run};
pub use seal::{README, Seal, sign_set};
pub use signatures::carry_signatures;
pub use wish::{Ask, Made, Wish};

#[cfg(test)]
mod tests;
