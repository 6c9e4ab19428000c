//! What the argument parser refuses, in the outer form of every other error.

use super::oc_mirror;
use super::output::{Outcome, Output};
use crate::error::{Code, Error};
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// Help and version are text; anything else is a `USAGE` error.
pub fn told(refusal: &clap::Error, argv: &[OsString], output: &Output) -> Result<Outcome, Error> {
    let text = refusal.render().to_string();
    match refusal.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.lines(&text);
            Outcome::done().with("text", text)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            text.lines().for_each(|line| output.message(line));
            Err(Error::new(Code::Usage, "a command is missing"))
        }
        _ => {
            let told = error(&crate::text::without_userinfo(&text));
            // What is wrong with a value comes without the usage.
            let told = if text.contains("\nUsage: ") { told } else { told.remedy(format!("see `{} --help`", command(argv))) };
            Err(instead(refusal, told))
        }
    }
}

/// A word that oc-mirror knows: what to type here.
fn instead(refusal: &clap::Error, error: Error) -> Error {
    let word = |kind| match refusal.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let advice = word(ContextKind::InvalidArg).and_then(oc_mirror::option);
    let advice = advice.or_else(|| word(ContextKind::InvalidSubcommand).and_then(oc_mirror::command));
    match advice {
        Some(advice) if matches!(refusal.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) => {
            // Tips are of words that only look alike.
            let what = error.what.clone();
            Error::new(Code::Usage, what).remedy(format!("{advice} (sealift-oc-mirror(7))"))
        }
        _ => error,
    }
}

/// The command that was called, as it is typed.
fn command(argv: &[OsString]) -> String {
    let mut at = super::Arguments::command();
    let mut called = at.get_name().to_owned();
    for word in argv.iter().skip(1) {
        if let Some(found) = at.find_subcommand(word).cloned() {
            called = format!("{called} {}", found.get_name());
            at = found;
        }
    }
    called
}

/// Takes the parser's text apart: the first paragraph is the fact, tips are causes, the usage becomes the remedy.
fn error(text: &str) -> Error {
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let first = paragraphs.next().unwrap_or_default();
    let fact = first.strip_prefix("error: ").unwrap_or(first);
    let mut error = Error::new(Code::Usage, joined(fact));
    for paragraph in paragraphs {
        if let Some(usage) = paragraph.strip_prefix("Usage: ") {
            let usage = joined(usage);
            let words = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
            let command = words.collect::<Vec<_>>().join(" ");
            error.remedy = format!("{usage} (see `{command} --help`)");
        } else if !paragraph.starts_with("For more information") {
            error.causes.extend(paragraph.lines().map(joined).filter(|line| !line.is_empty()));
        }
    }
    error
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
