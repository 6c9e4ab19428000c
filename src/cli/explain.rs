//! `sealift explain`: the manual, from the binary.

use super::manual::{self, Page};
use super::{Context, Outcome, values};
use crate::error::{Code, Error, FAMILIES, family};
use crate::fs::Dir;
use crate::text::shown;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Columns of a page where it does not go to a terminal.
const COLUMNS: usize = 80;
/// Longer lines are hard to read, however wide the terminal.
const WIDEST: usize = 100;

/// Prints the manual: the page of an error code, or any other page
///
/// A code (VOLUME_MISSING) gives its page, an exit number (12) those of its whole family, a name (oc-mirror, sealift-archive(5),
/// trust add) that page of the manual, nothing the list of all. The codes are also in sealift-errors(7).
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A code, an exit number or a page of the manual
    #[arg(value_name = "CODE|NUMBER|PAGE", num_args = 0..)]
    pub what: Vec<String>,
    /// Print the page as man reads it: sealift explain oc-mirror --man | man -l -
    #[arg(long, requires = "what")]
    pub man: bool,
    /// Write the page, or all pages, as man reads them into folders man1, man5 and man7 of this one (man -M DIR)
    #[arg(short, long, value_name = "DIR", conflicts_with = "man", value_parser = values::local())]
    pub output: Option<PathBuf>,
}

/// What can be explained.
enum Subject {
    Codes(Vec<Code>),
    Page(Page),
}

/// Runs the command.
///
/// # Errors
/// `USAGE` for a code, number or page that does not exist; as the folder fails.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let wanted = args.what.join(" ");
    let subject = if args.what.is_empty() { None } else { Some(find(&wanted)?) };
    match (subject, &args.output) {
        (None, Some(folder)) => write(&manual::pages(), folder, ctx),
        (Some(Subject::Page(page)), Some(folder)) => write(&[page], folder, ctx),
        (Some(Subject::Page(page)), None) => tell(&page, args.man, ctx),
        (Some(Subject::Codes(_)), Some(_)) => Err(no_page(&wanted)),
        (Some(Subject::Codes(_)), None) if args.man => Err(no_page(&wanted)),
        (Some(Subject::Codes(codes)), None) => tell_codes(codes, ctx),
        (None, None) => {
            ctx.output.lines(&list());
            let pages: Vec<Value> = manual::pages().iter().map(named).collect();
            ctx.output.lines(&index());
            Outcome::done().with("codes", Code::ALL.iter().map(|code| object(*code)).collect::<Vec<Value>>())?.with("pages", pages)
        }
    }
}

fn find(wanted: &str) -> Result<Subject, Error> {
    let codes = match wanted.parse::<u8>() {
        Ok(exit) => Code::of_exit(exit),
        Err(_) => Code::from_name(wanted).into_iter().collect(),
    };
    if !codes.is_empty() {
        return Ok(Subject::Codes(codes));
    }
    manual::find(wanted).map(Subject::Page).ok_or_else(|| {
        Error::new(Code::Usage, format!("there is no code, exit number or page {}", shown(wanted)))
            .remedy("`sealift explain` lists all of them")
    })
}

fn no_page(wanted: &str) -> Error {
    Error::new(Code::Usage, format!("{} is no page of the manual by itself", shown(wanted)))
        .remedy("the codes are in one page: `sealift explain errors --man`")
}

fn tell_codes(codes: Vec<Code>, ctx: &Context) -> Result<Outcome, Error> {
    for (i, code) in codes.iter().enumerate() {
        if i > 0 {
            ctx.output.line("");
        }
        ctx.output.lines(&page(*code));
    }
    Outcome::done().with("codes", codes.into_iter().map(object).collect::<Vec<Value>>())
}

fn tell(page: &Page, source: bool, ctx: &Context) -> Result<Outcome, Error> {
    let mut told = named(page);
    if source {
        ctx.output.text(&page.source);
        told["source"] = page.source.as_str().into();
    } else {
        let text = page.text(ctx.columns.unwrap_or(COLUMNS).min(WIDEST))?;
        ctx.output.lines(&text);
        told["text"] = text.into();
    }
    Outcome::done().with("page", told)
}

fn write(pages: &[Page], folder: &Path, ctx: &Context) -> Result<Outcome, Error> {
    let dir = Dir::create(folder)?;
    let mut files = Vec::new();
    for page in pages {
        let (section, name) = page.file();
        dir.make_sub(&section)?.publish(&name, page.source.as_bytes())?;
        files.push(format!("{section}/{name}"));
    }
    let first = pages.first().map_or("", |page| page.name.as_str());
    ctx.output.line(&format!("pages written: {}; read them with `man -M {} {first}`", files.len(), folder.display()));
    Outcome::done().with("pages", files)
}

/// All pages, a line each.
fn index() -> String {
    let pages = manual::pages();
    let widest = pages.iter().map(|page| page.to_string().len()).max().unwrap_or(0);
    let lines = pages.iter().map(|page| format!("     {:<widest$}  {}\n", page.to_string(), page.about()));
    format!("\nPages\n{}", lines.collect::<String>())
}

fn named(page: &Page) -> Value {
    json!({"name": page.name, "section": page.section, "about": page.about()})
}

fn list() -> String {
    let mut text = String::new();
    for (exit, title) in FAMILIES {
        text += &format!("{exit:>3}  {title}\n");
        for code in Code::of_exit(*exit) {
            text += &format!("     {code}\n");
        }
    }
    text
}

/// The page as text, at most 100 columns wide.
fn page(code: Code) -> String {
    let entry = code.entry();
    let mut text = format!("{} ({}): {}\n\n{}\n", entry.name, entry.exit, family(entry.exit).unwrap_or_default(), wrap(entry.means, "  "));
    if !entry.why.is_empty() {
        text += "\nHow it comes about\n";
        entry.why.iter().for_each(|why| text += &format!("{}\n", wrap(why, "  ")));
    }
    if !entry.steps.is_empty() {
        text += "\nWhat to do\n";
        for step in entry.steps {
            match step.strip_prefix("$ ") {
                Some(command) => text += &format!("      {command}\n"),
                None => text += &format!("{}\n", wrap(step, "  ")),
            }
        }
    }
    text
}

fn wrap(text: &str, indent: &str) -> String {
    let mut lines = Vec::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        if line.len() > indent.len() {
            if line.len() + 1 + word.len() > 100 {
                lines.push(std::mem::replace(&mut line, indent.to_owned()));
            } else {
                line.push(' ');
            }
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

fn object(code: Code) -> Value {
    let entry = code.entry();
    json!({
        "code": entry.name, "exit": entry.exit, "family": family(entry.exit), "means": entry.means,
        "why": entry.why, "steps": entry.steps, "remedy": entry.remedy,
    })
}
