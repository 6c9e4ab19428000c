//! Reading templates without helm: enough of Go's `text/template` and its usual functions to learn which images a chart names
//! with given values. Not a renderer.
//!
//! What is not understood is *unknown*, and stays so through everything it touches ([`value::UNKNOWN`] in texts): an image
//! with something unknown in it is reported as not read, never guessed. Where a condition is unknown, both ways are
//! taken. Steps, depth and text are bounded; no input makes it panic or run on.

mod eval;
mod functions;
mod lex;
mod parse;
mod value;

pub(super) use eval::{Body, Context, Library};
pub(super) use value::{UNKNOWN, Val};
