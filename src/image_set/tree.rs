//! A YAML or JSON document as a tree whose values remember their place.
//!
//! Duplicate keys, letter case and lines are lost in the usual typed reading, so this one goes through a tree. The
//! parser tells a place only inside an error; [`Document::line_of`] makes use of that: it reads the document again and
//! fails on purpose at the value in question. Only paid for when something has to be reported, and exact, since it is
//! the same parser that walks the same way.

use super::error::{ImageSetError, Problem};
use crate::limits;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Number of a value (or key) in the order in which the document is walked.
pub(super) type Place = usize;

/// A value and its place.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number (a float without fraction is one, as in Go's JSON).
    Int(i128),
    /// Any other number.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One member of a mapping. Keys may repeat; the reader looks.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// The first document of a file.
pub(super) struct Document {
    pub(super) root: Node,
    pub(super) more_documents: bool,
    json: bool,
}

/// Reads the first document. JSON is tried first where the file begins with a brace: the YAML parser knows no
/// surrogate pairs. What is not JSON may still be YAML in flow style.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, ImageSetError> {
    if looks_like_json(bytes) {
        let walk = Walk::default();
        let mut json = serde_json::Deserializer::from_slice(bytes);
        match (Seed { walk: &walk, depth: 0 }).deserialize(&mut json).and_then(|root| json.end().map(|()| root)) {
            Ok(root) => return Ok(Document { root, more_documents: false, json: true }),
            Err(e) if walk.trouble.get().is_some() => return Err(walk.failure(Some(e.line()), &e)),
            Err(_) => {}
        }
    }
    if brackets(bytes) > MAX_BRACKETS {
        return Err(ImageSetError { line: None, field: String::new(), problem: Problem::TooDeep });
    }
    let walk = Walk::default();
    let mut documents = serde_yaml::Deserializer::from_slice(bytes);
    let root = match documents.next() {
        Some(first) => {
            let read = Seed { walk: &walk, depth: 0 }.deserialize(first);
            read.map_err(|e| walk.failure(e.location().map(|l| l.line()), &e))?
        }
        None => Node { place: 0, value: Value::Null },
    };
    Ok(Document { root, more_documents: documents.next().is_some(), json: false })
}

/// The YAML scanner's time grows with the square of open brackets, and it has read everything before the first value can
/// be counted: 200 kB of `{a: {a: ...` take ten seconds. Far above [`limits::NESTING`], because brackets in texts and
/// comments are counted as well here.
const MAX_BRACKETS: usize = 1000;

/// The largest number of brackets open at once, texts not told apart.
fn brackets(bytes: &[u8]) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in bytes {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn looks_like_json(bytes: &[u8]) -> bool {
    bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
}

impl Document {
    /// The line (from 1) on which a value or key begins; through an alias, where the anchored value stands.
    pub(super) fn line_of(&self, bytes: &[u8], place: Place) -> Option<usize> {
        let walk = Walk { stop_at: Some(place), ..Walk::default() };
        let seed = Seed { walk: &walk, depth: 0 };
        if self.json {
            let error = seed.deserialize(&mut serde_json::Deserializer::from_slice(bytes)).err()?;
            return Some(error.line());
        }
        let error = seed.deserialize(serde_yaml::Deserializer::from_slice(bytes).next()?).err()?;
        Some(error.location()?.line())
    }
}

/// What one walk through a document keeps count of.
#[derive(Default)]
struct Walk {
    values: Cell<usize>,
    text: Cell<usize>,
    stop_at: Option<Place>,
    trouble: Cell<Option<Trouble>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    TooDeep,
    TooMuch,
    Key,
}

impl Walk {
    /// Counts a value in and returns its place.
    fn enter<E: de::Error>(&self) -> Result<Place, E> {
        let place = self.values.get();
        self.values.set(place + 1);
        if self.stop_at == Some(place) {
            return Err(E::custom("here"));
        }
        if place >= limits::IMAGE_SET_VALUES {
            return Err(self.refuse(Trouble::TooMuch));
        }
        Ok(place)
    }

    /// Takes in a text, within the allowance for the whole document.
    fn take<E: de::Error>(&self, text: &str) -> Result<String, E> {
        self.text.set(self.text.get().saturating_add(text.len()));
        if self.text.get() > limits::IMAGE_SET_TEXT {
            return Err(self.refuse(Trouble::TooMuch));
        }
        Ok(text.to_owned())
    }

    fn refuse<E: de::Error>(&self, trouble: Trouble) -> E {
        self.trouble.set(Some(trouble));
        E::custom("refused")
    }

    fn failure(&self, line: Option<usize>, error: &dyn fmt::Display) -> ImageSetError {
        let problem = match self.trouble.get() {
            Some(Trouble::TooDeep) => Problem::TooDeep,
            Some(Trouble::TooMuch) => Problem::TooMuch,
            Some(Trouble::Key) => Problem::Key,
            None => Problem::Syntax(error.to_string()),
        };
        ImageSetError { line, field: String::new(), problem }
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Seed<'w> {
    walk: &'w Walk,
    depth: usize,
}

impl Seed<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= limits::NESTING {
            return Err(self.walk.refuse(Trouble::TooDeep));
        }
        Ok(Seed { walk: self.walk, depth: self.depth + 1 })
    }

    fn node<E: de::Error>(self, value: Value) -> Result<Node, E> {
        Ok(Node { place: self.walk.enter()?, value })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain YAML or JSON without own tags")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Int(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.node(Value::Int(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.node(Value::Int(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        self.node(Value::Int(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        let whole = value.fract() == 0.0 && value.abs() < 9e15;
        self.node(if whole { Value::Int(value as i128) } else { Value::Float(value) })
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        let place = self.walk.enter()?;
        Ok(Node { place, value: Value::Text(self.walk.take(value)?) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let place = self.walk.enter()?;
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(node) = access.next_element_seed(inner)? {
            list.push(node);
        }
        Ok(Node { place, value: Value::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let place = self.walk.enter()?;
        let inner = self.inner()?;
        let mut entries = Vec::new();
        while let Some((place, key)) = access.next_key_seed(Key(self.walk))? {
            entries.push(Entry { key, place, node: access.next_value_seed(inner)? });
        }
        Ok(Node { place, value: Value::Map(merged(entries)) })
    }
}

/// Applies YAML 1.1 merge keys (`<<: *anchor`): members of the merged mappings, unless written out beside it; of
/// several mappings the first wins. Moves values, so it cannot multiply them.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|e| e.key == "<<" && mergeable(&e.node.value));
    if merges.is_empty() {
        return own;
    }
    let mut present: std::collections::HashSet<String> = own.iter().map(|e| e.key.to_ascii_lowercase()).collect();
    for merge in merges {
        let maps = match merge.node.value {
            Value::List(list) => list.into_iter().map(|node| node.value).collect(),
            map => vec![map],
        };
        for map in maps {
            let Value::Map(entries) = map else { continue };
            own.extend(entries.into_iter().filter(|e| present.insert(e.key.to_ascii_lowercase())));
        }
    }
    own
}

/// A mapping or a list of mappings; anything else under `<<` is left to be refused as an unknown member.
fn mergeable(value: &Value) -> bool {
    match value {
        Value::Map(_) => true,
        Value::List(list) => list.iter().all(|node| matches!(node.value, Value::Map(_))),
        _ => false,
    }
}

/// Reads the key of a member: a text, or a scalar that Go's YAML turns into one.
struct Key<'w>(&'w Walk);

impl Key<'_> {
    fn text<E: de::Error>(self, text: &str) -> Result<(Place, String), E> {
        Ok((self.0.enter()?, self.0.take(text)?))
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (Place, String);

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = (Place, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.text(value)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.text(if value { "true" } else { "false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.text(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.text(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.text(&value.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        self.text("null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.0.refuse(Trouble::Key))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.0.refuse(Trouble::Key))
    }
}
