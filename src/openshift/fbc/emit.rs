//! One document as JSON text, member by member as it is parsed: order, strings and numbers stay what they were.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Where JSON text goes, up to a limit: a few YAML aliases can unfold to terabytes.
pub(super) struct Emitter {
    out: Vec<u8>,
    limit: usize,
    /// Line breaks and four spaces per level; else no white space at all.
    pretty: bool,
    depth: usize,
}

impl Emitter {
    /// JSON without white space, at most `limit` bytes.
    pub(super) fn compact(limit: usize) -> Emitter {
        Emitter { out: Vec::new(), limit, pretty: false, depth: 0 }
    }

    /// JSON as catalogs have it on disk: four spaces per level, nothing escaped that need not be.
    pub(super) fn pretty(limit: usize) -> Emitter {
        Emitter { pretty: true, ..Emitter::compact(limit) }
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn put<E: Error>(&mut self, bytes: &[u8]) -> Result<(), E> {
        if self.out.len().saturating_add(bytes.len()) > self.limit {
            return Err(E::custom(format_args!("it unfolds to more than {} bytes", self.limit)));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn break_line<E: Error>(&mut self) -> Result<(), E> {
        if !self.pretty {
            return Ok(());
        }
        self.put(b"\n")?;
        (0..self.depth).try_for_each(|_| self.put(b"    "))
    }

    /// Between two items, or before the first.
    fn next_item<E: Error>(&mut self, first: &mut bool) -> Result<(), E> {
        if !std::mem::take(first) {
            self.put(b",")?;
        }
        self.break_line()
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if self.out.len().saturating_add(text.len()) > self.limit {
            return self.put(text.as_bytes());
        }
        serde_json::to_writer(&mut self.out, text).map_err(E::custom)
    }

    fn number<E: Error>(&mut self, number: impl serde::Serialize) -> Result<(), E> {
        serde_json::to_writer(&mut self.out, &number).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Emitter {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Emitter {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON can say")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(if value { b"true" } else { b"false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if !value.is_finite() {
            return Err(E::custom("JSON has no such number"));
        }
        self.number(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.text(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(b"null")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.put(b"null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.put(b"[")?;
        self.depth += 1;
        let mut first = true;
        while items.next_element_seed(Item { out: &mut *self, first: &mut first })?.is_some() {}
        self.depth -= 1;
        if !first {
            self.break_line()?;
        }
        self.put(b"]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.put(b"{")?;
        self.depth += 1;
        let mut first = true;
        while members.next_key_seed(Name { out: &mut *self, first: &mut first })?.is_some() {
            self.put(if self.pretty { b": " } else { b":" })?;
            members.next_value_seed(&mut *self)?;
        }
        self.depth -= 1;
        if !first {
            self.break_line()?;
        }
        self.put(b"}")
    }
}

/// An item of a list, with what stands before it.
struct Item<'e> {
    out: &'e mut Emitter,
    first: &'e mut bool,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.out.next_item(self.first)?;
        self.out.deserialize(deserializer)
    }
}

/// A member's name: always text in JSON, whatever it is in YAML.
struct Name<'e> {
    out: &'e mut Emitter,
    first: &'e mut bool,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.out.next_item(self.first)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if name == "<<" {
            // Whoever reads the catalog would merge, JSON would not.
            return Err(E::custom("YAML merge keys (<<) are not supported here"));
        }
        self.out.text(name)
    }

    fn visit_bool<E: Error>(self, name: bool) -> Result<(), E> {
        self.out.text(&name.to_string())
    }

    fn visit_i64<E: Error>(self, name: i64) -> Result<(), E> {
        self.out.text(&name.to_string())
    }

    fn visit_u64<E: Error>(self, name: u64) -> Result<(), E> {
        self.out.text(&name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn json(text: &str, mut emitter: Emitter) -> Result<String, serde_json::Error> {
        emitter.deserialize(&mut serde_json::Deserializer::from_str(text))?;
        Ok(String::from_utf8(emitter.into_bytes()).unwrap())
    }

    fn yaml(text: &str, limit: usize) -> Result<String, serde_yaml::Error> {
        let mut emitter = Emitter::compact(limit);
        emitter.deserialize(serde_yaml::Deserializer::from_str(text))?;
        Ok(String::from_utf8(emitter.into_bytes()).unwrap())
    }

    #[test]
    fn the_form_on_disk_is_exact() {
        let text = r#"{"z":[1,-2.5,{}],"a":{"<b>":"&\u00e9\ud83d\ude00\n","e":[]},"n":null,"t":true}"#;
        let expected = "{\n    \"z\": [\n        1,\n        -2.5,\n        {}\n    ],\n    \"a\": {\n        \"<b>\": \"&é😀\\n\",\n        \"e\": []\n    },\n    \"n\": null,\n    \"t\": true\n}";
        assert_eq!(json(text, Emitter::pretty(1000)).unwrap(), expected);
        assert_eq!(yaml("1: [a, yes, 'x']\ntrue: ~\n", 99).unwrap(), r#"{"1":["a","yes","x"],"true":null}"#);
    }

    #[test]
    fn aliases_do_not_unfold_without_end() {
        let bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(1000), vec!["*a"; 500].join(", "));
        assert!(yaml(&bomb, 100_000).unwrap_err().to_string().contains("unfolds to more than 100000 bytes"));
        let mut billion = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            billion += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", "));
        }
        assert!(yaml(&billion, 1 << 20).is_err());
        assert!(yaml(&"[".repeat(100_000), 1 << 20).is_err());
        assert!(json(&"[".repeat(100_000), Emitter::pretty(1 << 30)).is_err());
        assert!(yaml("a: .nan", 99).is_err() && yaml("b: &x {c: 1}\na: {<<: *x}", 99).is_err() && yaml("a: !x 1", 99).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_means_what_was_read(value in value()) {
            let text = value.to_string();
            prop_assert_eq!(&json(&text, Emitter::compact(1 << 20)).unwrap(), &text);
            let mut expected = Vec::new();
            let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            serde::Serialize::serialize(&value, &mut serde_json::Serializer::with_formatter(&mut expected, form)).unwrap();
            prop_assert_eq!(json(&text, Emitter::pretty(1 << 20)).unwrap().into_bytes(), expected);
        }
    }
}
