//! `sealift explain`: the manual page of a code, from the binary.

use super::{Context, Outcome};
use crate::error::{Code, Error, FAMILIES, family};
use serde_json::{Value, json};

/// Prints the manual page of an error code or exit number
///
/// A name (VOLUME_MISSING) gives one page, an exit number (12) those of its whole family, nothing the list of all. The same
/// pages are in sealift-errors(7).
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A code or an exit number
    #[arg(value_name = "CODE|NUMBER")]
    pub code: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// `USAGE` for a code or number that does not exist.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let Some(wanted) = args.code else {
        ctx.output.lines(&list());
        return Outcome::done().with("codes", Code::ALL.iter().map(|code| object(*code)).collect::<Vec<Value>>());
    };
    let codes = find(&wanted)?;
    for (i, code) in codes.iter().enumerate() {
        if i > 0 {
            ctx.output.line("");
        }
        ctx.output.lines(&page(*code));
    }
    Outcome::done().with("codes", codes.into_iter().map(object).collect::<Vec<Value>>())
}

fn find(wanted: &str) -> Result<Vec<Code>, Error> {
    let found = match wanted.parse::<u8>() {
        Ok(exit) => Code::of_exit(exit),
        Err(_) => Code::from_name(wanted).into_iter().collect(),
    };
    match found.is_empty() {
        true => Err(Error::new(Code::Usage, format!("there is no code or exit number {}", crate::text::shown(wanted)))
            .remedy("`sealift explain` lists all of them")),
        false => Ok(found),
    }
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
