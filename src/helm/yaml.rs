//! YAML of charts as plain values, with every count bounded: aliases multiply, brackets nest.

use crate::limits;
use crate::text::shown;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// The YAML scanner's time grows with the square of open brackets; real documents open a handful.
const MAX_BRACKETS: usize = 5000;

/// Reads the first document; nothing at all is `null`. The error is harmless to print.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    // The parser keeps some hundred bytes for two of the text before anything can be counted.
    if text.len() as u64 > limits::CHART_FILE_BYTES {
        return Err(format!("it is longer than {} bytes", limits::CHART_FILE_BYTES));
    }
    if !brackets_are_few(text) {
        return Err("it is nested too deeply".into());
    }
    let walk = Walk::default();
    match serde_yaml::Deserializer::from_str(text).next() {
        Some(document) => Seed { walk: &walk, depth: 0 }.deserialize(document).map_err(|e| shown(&e.to_string()).to_string()),
        None => Ok(Value::Null),
    }
}

/// The documents of a stream, split at lines that begin with `---`.
pub(super) fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        loop {
            let line_start = text.get(at..)?;
            if at > 0 && line_start.starts_with("---") {
                rest = Some(line_start.get(3..).unwrap_or_default());
                return text.get(..at);
            }
            match line_start.find('\n') {
                Some(end) => at += end + 1,
                None => {
                    rest = None;
                    return Some(text.strip_prefix("---").unwrap_or(text));
                }
            }
        }
    })
}

/// True where the scanner can be trusted with the text.
pub(super) fn brackets_are_few(text: &str) -> bool {
    let (mut open, mut most) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most <= MAX_BRACKETS
}

/// Lays `over` upon `base` as helm does with values: maps are merged, everything else is replaced, `null` removes.
pub(super) fn merge(base: &mut Value, over: &Value, depth: usize) {
    let (Value::Object(base), Value::Object(over)) = (base, over) else { return };
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::Null) => {
                base.remove(key);
            }
            (Some(inner @ Value::Object(_)), Value::Object(_)) if depth < limits::NESTING => merge(inner, value, depth + 1),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[derive(Default)]
struct Walk {
    values: Cell<usize>,
    text: Cell<usize>,
}

impl Walk {
    fn count<E: de::Error>(&self, text: usize) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        self.text.set(self.text.get().saturating_add(text));
        if self.values.get() > limits::CHART_VALUES || self.text.get() > limits::CHART_TEXT {
            return Err(E::custom("it has more values than any real document (aliases?)"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Seed<'w> {
    walk: &'w Walk,
    depth: usize,
}

impl Seed<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        self.walk.count(0)?;
        if self.depth >= limits::NESTING {
            return Err(E::custom("it is nested too deeply"));
        }
        Ok(Seed { walk: self.walk, depth: self.depth + 1 })
    }

    fn leaf<E: de::Error>(self, value: Value) -> Result<Value, E> {
        self.walk.count(0)?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain YAML without own tags")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.leaf(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.leaf(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.leaf(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.leaf(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.leaf(value.into())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.leaf(Value::String(value.to_string()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        self.leaf(Value::String(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.leaf(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.walk.count(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = access.next_key_seed(Key(self.walk))? {
            let value = access.next_value_seed(inner)?;
            match value {
                Value::Object(members) if key == "<<" => merged.push(members),
                value => {
                    map.insert(key, value);
                }
            }
        }
        // YAML 1.1 merge keys: what is written out beside them wins.
        for (key, value) in merged.into_iter().flatten() {
            map.entry(key).or_insert(value);
        }
        Ok(Value::Object(map))
    }
}

/// A key; scalars become text as in Go's YAML.
struct Key<'w>(&'w Walk);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let value = Seed { walk: self.0, depth: limits::NESTING }.deserialize(deserializer)?;
        match value {
            Value::String(text) => Ok(text),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            Value::Null => Ok("null".into()),
            Value::Array(_) | Value::Object(_) => Err(de::Error::custom("a key is not a text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_as_helm_sees_them() {
        assert_eq!(parse("a: 1\nb: [x, 1.5, ~]\n1: true\n").unwrap(), json!({"a": 1, "b": ["x", 1.5, null], "1": true}));
        assert_eq!(parse("").unwrap(), Value::Null);
        assert_eq!(parse("base: &b {x: 1, y: 2}\nc:\n  <<: *b\n  y: 3\n").unwrap()["c"], json!({"x": 1, "y": 3}));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let of = format!("*a{},", i - 1).repeat(10);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", of.trim_end_matches(',')));
        }
        assert!(parse(&text).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_soon() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"{a: ".repeat(90)).is_err());
        assert!(parse(&format!("{}x{}", "[".repeat(80), "]".repeat(80))).is_err());
    }

    #[test]
    fn a_stream_is_split_at_its_marks() {
        let all: Vec<&str> = documents("---\na: 1\n---\nb: |\n  ---\n--- # c\n").collect();
        assert_eq!(all.len(), 3);
        assert_eq!(parse(all[1]).unwrap(), json!({"b": "---\n"}));
        assert_eq!(documents("").count(), 1);
        assert_eq!(documents("a\n---").count(), 2);
    }

    #[test]
    fn values_are_laid_upon_each_other() {
        let mut base = json!({"a": {"b": 1, "c": [1]}, "d": 1});
        merge(&mut base, &json!({"a": {"c": [2], "e": 3}, "d": null}), 0);
        assert_eq!(base, json!({"a": {"b": 1, "c": [2], "e": 3}}));
    }
}
