//! Typed access to the tree: members by name in any letter case, every refusal with its path.

use super::error::{Fault, Problem};
use crate::text::{nearest, shown};
use crate::yaml::{Node, Place, Value};
use std::collections::HashMap;

/// The names that may stand in one mapping.
pub(super) struct Names {
    /// Members of v2alpha1, and those of its previews.
    pub(super) known: &'static [&'static str],
    /// Members of v1alpha1 and v1alpha2, refused by name.
    pub(super) old: &'static [&'static str],
}

/// A value with the path to it.
#[derive(Clone)]
pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

/// A mapping whose members are all known and there once.
pub(super) struct Members<'a> {
    path: String,
    place: Place,
    found: HashMap<&'static str, (Place, &'a Node)>,
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'a> At<'a> {
    pub(super) fn fault(&self, problem: Problem) -> Fault {
        Fault { place: self.node.place, field: self.path.clone(), problem, earlier: None }
    }

    fn wrong_type(&self, expected: &'static str, quote: bool) -> Fault {
        let found = describe(&self.node.value);
        self.fault(Problem::Type { expected, found, quote })
    }

    /// Reads a mapping; unknown, old and repeated members are refused.
    pub(super) fn members(&self, names: &Names) -> Result<Members<'a>, Fault> {
        let entries: &[_] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => return Err(self.wrong_type("a mapping (name: value)", false)),
        };
        let mut found: HashMap<&'static str, (Place, &'a Node)> = HashMap::new();
        for entry in entries {
            let refuse = |problem, earlier| Fault { place: entry.place, field: join(&self.path, &entry.key), problem, earlier };
            let Some(name) = names.known.iter().find(|name| name.eq_ignore_ascii_case(&entry.key)) else {
                let old = names.old.iter().any(|name| name.eq_ignore_ascii_case(&entry.key));
                let unknown = Problem::Unknown { near: nearest(&entry.key, names.known.iter().copied()), known: names.known };
                return Err(refuse(if old { Problem::OldFormat } else { unknown }, None));
            };
            if let Some((first, _)) = found.insert(name, (entry.place, &entry.node)) {
                return Err(refuse(Problem::DuplicateKey { earlier: None }, Some(first)));
            }
        }
        Ok(Members { path: self.path.clone(), place: self.node.place, found })
    }

    /// Reads a text.
    pub(super) fn text(&self) -> Result<String, Fault> {
        match &self.node.value {
            Value::Text(text) => Ok(text.clone()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => Err(self.wrong_type("text", true)),
            _ => Err(self.wrong_type("text", false)),
        }
    }

    /// Reads a text that must not be empty.
    pub(super) fn word(&self) -> Result<String, Fault> {
        let text = self.text()?;
        if text.is_empty() { Err(self.fault(Problem::Missing)) } else { Ok(text) }
    }

    /// Reads true or false, also as YAML 1.1 spells them: Go's YAML does, so files in use rely on it. (Quoted ones
    /// pass as well; the parser does not tell them apart, and nothing else can be meant.)
    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        match &self.node.value {
            Value::Bool(value) => Ok(*value),
            Value::Text(text) => match text.as_str() {
                "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(true),
                "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(false),
                _ => Err(self.wrong_type("true or false", false)),
            },
            _ => Err(self.wrong_type("true or false", false)),
        }
    }

    /// Reads a whole number. A float without fraction is one, as in Go's JSON.
    pub(super) fn integer(&self) -> Result<i128, Fault> {
        match &self.node.value {
            Value::Int(value) => Ok(*value),
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(*value as i128),
            _ => Err(self.wrong_type("a whole number (without quotes)", false)),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<At<'a>>, Fault> {
        match &self.node.value {
            Value::List(list) => Ok(list.iter().enumerate().map(|(i, node)| At { node, path: format!("{}[{i}]", self.path) }).collect()),
            _ => Err(self.wrong_type("a list (- item)", false)),
        }
    }
}

impl<'a> Members<'a> {
    /// A member that is there and not null: null leaves the default, as in Go's JSON.
    pub(super) fn get(&self, name: &'static str) -> Option<At<'a>> {
        let (_, node) = self.found.get(name)?;
        if matches!(node.value, Value::Null) { None } else { Some(At { node, path: join(&self.path, name) }) }
    }

    /// Place of a member's name, null or not.
    pub(super) fn place_of(&self, name: &'static str) -> Option<Place> {
        self.found.get(name).map(|(place, _)| *place)
    }

    /// A fault about a member: at its name, or at the mapping where it lacks.
    pub(super) fn fault(&self, name: &'static str, problem: Problem) -> Fault {
        Fault { place: self.place_of(name).unwrap_or(self.place), field: join(&self.path, name), problem, earlier: None }
    }

    /// A text that must be there and not empty.
    pub(super) fn required(&self, name: &'static str) -> Result<(String, At<'a>), Fault> {
        let at = self.get(name).ok_or_else(|| self.fault(name, Problem::Missing))?;
        Ok((at.word()?, at))
    }

    /// A text; an empty one counts as not given, as in Go.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<(String, At<'a>)>, Fault> {
        let Some(at) = self.get(name) else { return Ok(None) };
        let text = at.text()?;
        Ok(if text.is_empty() { None } else { Some((text, at)) })
    }

    /// [`Members::text`] without its place.
    pub(super) fn plain(&self, name: &'static str) -> Result<Option<String>, Fault> {
        Ok(self.text(name)?.map(|(text, _)| text))
    }

    /// True or false; false where not given.
    pub(super) fn boolean(&self, name: &'static str) -> Result<bool, Fault> {
        self.get(name).map_or(Ok(false), |at| at.boolean())
    }

    /// The items of a list; none where it is not given.
    pub(super) fn items(&self, name: &'static str) -> Result<Vec<At<'a>>, Fault> {
        self.get(name).map_or(Ok(Vec::new()), |at| at.items())
    }

    /// A list of texts.
    pub(super) fn words(&self, name: &'static str) -> Result<Vec<String>, Fault> {
        self.items(name)?.iter().map(At::word).collect()
    }
}

/// A value in words, for a message.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the truth value {value}"),
        Value::Int(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Text(text) => format!("the text {:?}", shown(text).to_string()),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}
