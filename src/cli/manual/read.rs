//! Reading the source of a page: requests, their arguments, and escapes (groff(7)); of each only what the pages use.

use super::Unknown;
use std::collections::BTreeMap;

/// Numbers that a page counts its steps with: value and step of each.
#[derive(Default)]
pub(super) struct Registers(BTreeMap<String, (i64, i64)>);

impl Registers {
    /// `.nr NAME VALUE STEP`.
    pub(super) fn set(&mut self, arguments: &[String]) -> Result<(), Unknown> {
        let number = |text: &String| text.parse::<i64>().ok();
        match arguments {
            [name, value, step] => match (number(value), number(step)) {
                (Some(value), Some(step)) => {
                    self.0.insert(name.clone(), (value, step));
                    Ok(())
                }
                _ => Err(Unknown::Request(format!("nr {value} {step}"))),
            },
            _ => Err(Unknown::Request("nr".to_owned())),
        }
    }

    /// The value of a number; after a step where `steps` is set.
    fn get(&mut self, name: &str, steps: bool) -> Result<String, Unknown> {
        let (value, step) = self.0.get_mut(name).ok_or_else(|| Unknown::Escape(format!("n[{name}]")))?;
        if steps {
            *value = value.saturating_add(*step);
        }
        Ok(value.to_string())
    }
}

/// What a line is.
pub(super) enum Line<'s> {
    /// A request and its arguments.
    Request(&'s str, Vec<String>),
    /// Text.
    Text(&'s str),
    /// Nothing for a reader: a comment, or one of the two lines that define the straight apostrophe.
    Silent,
}

/// Tells what a line is.
pub(super) fn line(line: &str) -> Line<'_> {
    if line.starts_with(".\\\"") || matches!(line, ".ie \\n(.g .ds Aq \\(aq" | ".el .ds Aq '") {
        return Line::Silent;
    }
    // The other character requests begin with; nothing here uses it.
    if line.starts_with('\'') {
        return Line::Request("'", Vec::new());
    }
    let Some(rest) = line.strip_prefix('.') else { return Line::Text(line) };
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Line::Request(name, arguments(rest))
}

/// Words, or `"what stands between quotes"`; two quotes in there are one.
fn arguments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        let (argument, after) = match rest.strip_prefix('"') {
            Some(quoted) => until_quote(quoted),
            None => rest.split_once(' ').map_or((rest.to_owned(), ""), |(word, after)| (word.to_owned(), after)),
        };
        found.push(argument);
        rest = after.trim_start_matches(' ');
    }
    found
}

fn until_quote(quoted: &str) -> (String, &str) {
    let mut argument = String::new();
    let mut rest = quoted;
    while let Some((piece, after)) = rest.split_once('"') {
        argument += piece;
        match after.strip_prefix('"') {
            Some(more) => {
                argument.push('"');
                rest = more;
            }
            None => return (argument, after),
        }
    }
    (argument + rest, "")
}

/// Text without its escapes: no fonts, every character one that all terminals have.
pub(super) fn unescaped(text: &str, registers: &mut Registers) -> Result<String, Unknown> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out += before;
        let mut chars = after.chars();
        match chars.next() {
            Some('-') => out.push('-'),
            Some('e' | '\\') => out.push('\\'),
            Some('&') => {}
            Some('f') if matches!(chars.next(), Some('B' | 'I' | 'R')) => {}
            Some('(') => out.push(character(chars.by_ref().take(2).collect())?),
            Some('*') if chars.as_str().starts_with("(Aq") => {
                out.push('\'');
                chars.by_ref().take(3).for_each(drop);
            }
            Some('n') => {
                let steps = chars.as_str().starts_with('+') && chars.next().is_some();
                if chars.next() != Some('[') {
                    return Err(Unknown::Escape(after.chars().take(8).collect()));
                }
                let name: String = chars.by_ref().take_while(|c| *c != ']').collect();
                out += &registers.get(&name, steps)?;
            }
            _ => return Err(Unknown::Escape(after.chars().take(8).collect())),
        }
        rest = chars.as_str();
    }
    Ok(out + rest)
}

/// Special characters, by their names of two letters.
fn character(name: String) -> Result<char, Unknown> {
    match name.as_str() {
        "bu" => Ok('*'),
        "aq" => Ok('\''),
        "lq" | "rq" | "dq" => Ok('"'),
        _ => Err(Unknown::Escape(format!("({name}"))),
    }
}

/// A line without its escapes, where it has none that are not known.
pub(super) fn plain(text: &str) -> String {
    unescaped(text, &mut Registers::default()).unwrap_or_default()
}
