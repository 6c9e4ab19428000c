//! YAML of charts as plain values, read through the bounded tree of [`crate::yaml`].

use crate::limits;
use crate::text::shown;
use crate::yaml::{self, Bounds, Value as Tree};
use serde_json::{Number, Value};

/// Charts may hold long lists of flow mappings; real documents open a handful of brackets at a time.
pub(super) const BRACKETS: usize = 5000;

const BOUNDS: Bounds = Bounds { values: limits::CHART_VALUES, text: limits::CHART_TEXT, brackets: BRACKETS, any_case: false };

/// Reads the first document; nothing at all is `null`. The error is harmless to print.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    // The parser keeps some hundred bytes for two of the text before anything can be counted.
    if text.len() as u64 > limits::CHART_FILE_BYTES {
        return Err(format!("it is longer than {} bytes", limits::CHART_FILE_BYTES));
    }
    yaml::parse(text.as_bytes(), BOUNDS).map(|document| plain(document.root.value)).map_err(|e| shown(&e.to_string()).to_string())
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

/// The tree as a plain value. Of members with one name the last counts, as in helm.
fn plain(tree: Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => Value::Bool(value),
        Tree::Int(value) => match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => Value::String(value.to_string()),
        },
        Tree::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Tree::Text(text) => Value::String(text),
        Tree::List(list) => list.into_iter().map(|node| plain(node.value)).collect(),
        Tree::Map(entries) => Value::Object(entries.into_iter().map(|entry| (entry.key, plain(entry.node.value))).collect()),
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
        assert_eq!(parse("a: &a {x: 1}\nb: &b {x: 2, X: 3}\nc:\n  <<: [*a, *b]\n").unwrap()["c"], json!({"x": 1, "X": 3}));
        assert_eq!(parse("[1.0, 18446744073709551615, .inf]").unwrap(), json!([1.0, u64::MAX, null]));
        assert_eq!(parse("{\"a\": \"\\ud83d\\ude00\"}").unwrap(), json!({"a": "\u{1f600}"}));
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
