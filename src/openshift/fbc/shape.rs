//! Mappings and lists of a catalog as Go's reader sees them: names of members in any letter case, each at most once, null
//! like absent. Everything is bounded: a text can be repeated by alias for a few bytes.

use crate::limits::{CATALOG_LIST, CATALOG_NAME_BYTES};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Members of a mapping that are looked at.
pub(super) trait Fields: Default {
    /// Their names.
    const NAMES: &'static [&'static str];
    /// Takes the value of the member with this number in [`Fields::NAMES`].
    fn take<'de, A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error>;
}

/// A mapping; null leaves the defaults.
#[derive(Default)]
pub(super) struct Mapping<T>(pub(super) T);

impl<'de, T: Fields> Deserialize<'de> for Mapping<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mapping<T>, D::Error> {
        deserializer.deserialize_any(Mapping(T::default()))
    }
}

impl<'de, T: Fields> Visitor<'de> for Mapping<T> {
    type Value = Mapping<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = 0u64;
        while let Some(name) = map.next_key_seed(Name(T::NAMES))? {
            let Some(field) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen & (1 << field) != 0 {
                let name = T::NAMES.get(field).copied().unwrap_or_default();
                return Err(A::Error::custom(format_args!("{name} is there twice")));
            }
            seen |= 1 << field;
            self.0.take(field, &mut map)?;
        }
        Ok(self)
    }
}

/// The name of a member, as its number in the list.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        if name == "<<" {
            return Err(E::custom("YAML merge keys (<<) are not supported here"));
        }
        Ok(self.0.iter().position(|known| known.eq_ignore_ascii_case(name)))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Option<usize>, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Option<usize>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Option<usize>, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Option<usize>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<usize>, E> {
        Ok(None)
    }
}

/// A text; empty where it is null.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(Text::default())
    }
}

impl Visitor<'_> for Text {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        if text.len() > CATALOG_NAME_BYTES {
            return Err(E::custom(format_args!("the text is longer than {CATALOG_NAME_BYTES} bytes")));
        }
        Ok(Text(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(self)
    }
}

/// A list; none where it is null.
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        deserializer.deserialize_any(List(Vec::new()))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self, A::Error> {
        while let Some(item) = items.next_element()? {
            if self.0.len() >= CATALOG_LIST {
                return Err(A::Error::custom(format_args!("the list has more than {CATALOG_LIST} items")));
            }
            self.0.push(item);
        }
        Ok(self)
    }
}
