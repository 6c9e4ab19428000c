//! Values of templates: cheap to copy, bounded in depth, with one that is not known.

use crate::limits;
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Stands in texts for what is not known (U+FFFC, object replacement character).
pub(in crate::helm) const UNKNOWN: char = '\u{fffc}';

/// A value.
#[derive(Clone, Debug)]
pub(in crate::helm) enum Val {
    /// Nothing, and what is not there.
    Null,
    /// Not understood.
    Unknown,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Nest<Vec<Val>>>),
    Map(Rc<Nest<BTreeMap<String, Val>>>),
}

/// Members, and how deep they go: what is nested without bound could not even be dropped.
#[derive(Debug)]
pub(in crate::helm) struct Nest<T> {
    pub(in crate::helm) of: T,
    depth: usize,
}

impl Val {
    pub(in crate::helm) fn text(text: impl AsRef<str>) -> Val {
        let text = text.as_ref();
        if text.len() > limits::TEMPLATE_TEXT { Val::Unknown } else { Val::Text(text.into()) }
    }

    pub(in crate::helm) fn list(of: Vec<Val>) -> Val {
        let depth = 1 + of.iter().map(Val::depth).max().unwrap_or(0);
        if depth > limits::NESTING || of.len() > limits::CHART_VALUES { Val::Unknown } else { Val::List(Rc::new(Nest { of, depth })) }
    }

    pub(in crate::helm) fn map(of: BTreeMap<String, Val>) -> Val {
        let depth = 1 + of.values().map(Val::depth).max().unwrap_or(0);
        if depth > limits::NESTING { Val::Unknown } else { Val::Map(Rc::new(Nest { of, depth })) }
    }

    fn depth(&self) -> usize {
        match self {
            Val::List(list) => list.depth,
            Val::Map(map) => map.depth,
            _ => 0,
        }
    }

    /// From YAML, whose depth is bounded already.
    pub(in crate::helm) fn of(value: &Value) -> Val {
        match value {
            Value::Null => Val::Null,
            Value::Bool(b) => Val::Bool(*b),
            Value::Number(n) => n.as_i64().map_or_else(|| n.as_f64().map_or(Val::Null, Val::Float), Val::Int),
            Value::String(text) => Val::text(text),
            Value::Array(list) => Val::list(list.iter().map(Val::of).collect()),
            Value::Object(map) => Val::map(map.iter().map(|(k, v)| (k.clone(), Val::of(v))).collect()),
        }
    }

    /// As JSON; what is unknown becomes its mark. `None` where it would be too long: the same long text a thousand times
    /// costs nothing here, and gigabytes there.
    pub(super) fn json(&self) -> Option<Value> {
        let mut left = limits::TEMPLATE_TEXT;
        self.json_within(&mut left)
    }

    fn json_within(&self, left: &mut usize) -> Option<Value> {
        let mut take = |n: usize| left.checked_sub(n + 1).map(|l| *left = l);
        Some(match self {
            Val::Null => Value::Null,
            Val::Unknown => Value::String(UNKNOWN.to_string()),
            Val::Bool(b) => Value::Bool(*b),
            Val::Int(n) => Value::Number((*n).into()),
            Val::Float(n) => Number::from_f64(*n).map_or(Value::Null, Value::Number),
            Val::Text(text) => {
                take(text.len())?;
                Value::String(text.to_string())
            }
            Val::List(list) => {
                take(list.of.len())?;
                Value::Array(list.of.iter().map(|v| v.json_within(left)).collect::<Option<_>>()?)
            }
            Val::Map(map) => {
                take(map.of.keys().map(String::len).sum())?;
                Value::Object(map.of.iter().map(|(k, v)| Some((k.clone(), v.json_within(left)?))).collect::<Option<_>>()?)
            }
        })
    }

    /// A member; nothing where there is none.
    pub(in crate::helm) fn get(&self, key: &str) -> Val {
        match self {
            Val::Map(map) => map.of.get(key).cloned().unwrap_or(Val::Null),
            Val::Unknown => Val::Unknown,
            _ => Val::Null,
        }
    }

    /// Go's idea of truth; `None` where it is unknown.
    pub(super) fn truth(&self) -> Option<bool> {
        Some(match self {
            Val::Unknown => return None,
            Val::Null => false,
            Val::Bool(b) => *b,
            Val::Int(n) => *n != 0,
            Val::Float(n) => *n != 0.0,
            // Made of something unknown alone it may be empty.
            Val::Text(text) if !text.is_empty() && text.chars().all(|c| c == UNKNOWN || c.is_whitespace()) && text.contains(UNKNOWN) => {
                return None;
            }
            Val::Text(text) => !text.is_empty(),
            Val::List(list) => !list.of.is_empty(),
            Val::Map(map) => !map.of.is_empty(),
        })
    }

    /// True when a part of it is unknown; texts only, members of lists and maps are asked when they are used.
    pub(super) fn is_unknown(&self) -> bool {
        match self {
            Val::Unknown => true,
            Val::Text(text) => text.contains(UNKNOWN),
            _ => false,
        }
    }

    /// As `{{ . }}` prints it, as far as it matters: what is nothing prints nothing, as helm mends it.
    pub(super) fn print(&self) -> String {
        match self {
            Val::Null => String::new(),
            Val::Unknown => UNKNOWN.to_string(),
            Val::Bool(b) => b.to_string(),
            Val::Int(n) => n.to_string(),
            Val::Float(n) => n.to_string(),
            Val::Text(text) => text.to_string(),
            // Go prints `map[a:1]`; no image is named so.
            Val::List(_) | Val::Map(_) => UNKNOWN.to_string(),
        }
    }
}
