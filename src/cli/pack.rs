//! `sealift pack`: images become a signed set of volumes.

use super::{Context, Outcome, options, plan, values};
use crate::error::{Code, Error};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Pulls images and writes them as a signed set of volumes
///
/// Plans, fetches into the workspace, writes the volumes into OUT, writes the index, signs it when a key is given, and reads
/// everything back. A run that was stopped goes on where it was when the same command is given again. Without --key the set
/// is not finished until `sealift sign` has been run.
#[derive(clap::Args, Debug)]
#[command(override_usage = "sealift pack [OPTIONS] <WISH>... <OUT>", after_help = plan::WISHES)]
pub struct Args {
    /// What to carry: an ImageSet file, a saved plan, or references; and as the last word OUT, the folder for the set
    // One list, split by hand: clap would give an option that stands before OUT the wrong place.
    #[arg(value_name = "WISH... OUT", required = true, num_args = 1..)]
    pub words: Vec<OsString>,
    /// Which key signs.
    #[command(flatten)]
    pub signing: options::Signing,
    /// What the set is called and meant for.
    #[command(flatten)]
    pub identity: options::Identity,
    /// What is taken of the images.
    #[command(flatten)]
    pub selection: options::Selection,
    /// How images become volumes.
    #[command(flatten)]
    pub shape: options::Shape,
    /// How sources are spoken to.
    #[command(flatten)]
    pub source: options::Source,
    /// Where work in progress lies.
    #[command(flatten)]
    pub workspace: options::Workspace,
    /// Do not read the finished set back from the medium
    #[arg(long, help_heading = "Files")]
    pub no_read_back: bool,
    /// Do not wait for the disk: scratch results that may be lost with the power
    #[arg(long, help_heading = "Files")]
    pub no_sync: bool,
}

impl Args {
    /// The wishes and OUT.
    pub fn split(&self) -> Result<(Vec<values::Wish>, PathBuf), Error> {
        let usage =
            || Error::new(Code::Usage, "pack needs at least one WISH and, as the last word, OUT").remedy("see `sealift pack --help`");
        let (out, wishes) = self.words.split_last().ok_or_else(usage)?;
        if wishes.is_empty() {
            return Err(usage());
        }
        let wishes = wishes.iter().map(OsString::as_os_str).map(values::Wish::sort).collect::<Result<_, _>>()?;
        Ok((wishes, out_folder(out)?))
    }
}

/// A forgotten OUT would otherwise make a folder named like an image.
fn out_folder(word: &OsStr) -> Result<PathBuf, Error> {
    let path = PathBuf::from(word);
    let text = word.to_string_lossy();
    let wish = text.starts_with("oci:") || [".yaml", ".yml", ".json"].iter().any(|ending| text.ends_with(ending)) || path.is_file();
    match wish {
        true => Err(Error::new(Code::Usage, format!("the last word must be the folder to write to, {} is a wish", path.display()))
            .remedy("see `sealift pack --help`")),
        false => Ok(path),
    }
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args.split()?, ctx);
    Err(super::not_linked("pack"))
}
