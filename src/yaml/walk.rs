//! One walk through a document, by the visitors of the parser.

use super::{Bounds, Entry, Node, Place, Refusal, Trouble, Value, merged};
use crate::limits;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;

/// What one walk through a document keeps count of.
pub(super) struct Walk {
    bounds: Bounds,
    values: Cell<usize>,
    text: Cell<usize>,
    stop_at: Option<Place>,
    trouble: RefCell<Option<Trouble>>,
}

impl Walk {
    pub(super) fn new(bounds: Bounds) -> Walk {
        Walk { bounds, values: Cell::new(0), text: Cell::new(0), stop_at: None, trouble: RefCell::new(None) }
    }

    /// A walk that fails where this value or key begins.
    pub(super) fn until(place: Place, bounds: Bounds) -> Walk {
        Walk { stop_at: Some(place), ..Walk::new(bounds) }
    }

    pub(super) fn read<'de, D: de::Deserializer<'de>>(&self, deserializer: D) -> Result<Node, D::Error> {
        Seed { walk: self, depth: 0 }.deserialize(deserializer)
    }

    /// True when it was this walk that ended the reading, not the parser.
    pub(super) fn refused(&self) -> bool {
        self.trouble.borrow().is_some()
    }

    /// What an error of the reading means.
    pub(super) fn refusal(&self, line: Option<usize>, error: &dyn fmt::Display) -> Refusal {
        let trouble = self.trouble.borrow_mut().take().unwrap_or_else(|| Trouble::Syntax(error.to_string()));
        Refusal { line, trouble }
    }

    /// Counts a value in and returns its place.
    fn enter<E: de::Error>(&self) -> Result<Place, E> {
        let place = self.values.get();
        self.values.set(place + 1);
        if self.stop_at == Some(place) {
            return Err(E::custom("here"));
        }
        if place >= self.bounds.values {
            return Err(self.refuse(Trouble::TooMuch));
        }
        Ok(place)
    }

    /// Takes in a text, within the allowance for the whole document.
    fn take<E: de::Error>(&self, text: &str) -> Result<String, E> {
        self.text.set(self.text.get().saturating_add(text.len()));
        if self.text.get() > self.bounds.text {
            return Err(self.refuse(Trouble::TooMuch));
        }
        Ok(text.to_owned())
    }

    fn refuse<E: de::Error>(&self, trouble: Trouble) -> E {
        *self.trouble.borrow_mut() = Some(trouble);
        E::custom("refused")
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
        self.node(Value::Float(value))
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
        Ok(Node { place, value: Value::Map(merged(entries, self.walk.bounds.any_case)) })
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

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Self::Value, E> {
        self.text(&value.to_string())
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Self::Value, E> {
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
