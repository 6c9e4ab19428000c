//! A small writer of YAML: one form for one value, keys sorted, printable ASCII only.
//!
//! Readers differ: kubectl reads YAML 1.1, where `on`, `1:30` and `0o7` are not texts. So a text stands bare only where no reader
//! could take it for something else, and is quoted in all other cases.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One document, beginning with `---`.
pub(super) fn document(value: &Value) -> String {
    format!("---\n{}", text(value))
}

/// A value without the line that begins a document. Callers bound the depth of what is not theirs.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => object(&mut out, members, 0),
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        other => {
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
    out
}

fn object(out: &mut String, members: &serde_json::Map<String, Value>, indent: usize) {
    let sorted: BTreeMap<&String, &Value> = members.iter().collect();
    for (position, (key, value)) in sorted.into_iter().enumerate() {
        // The first member of an object in a list stands behind the dash.
        if position > 0 || !out.ends_with("- ") {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&word(key));
        out.push(':');
        match value {
            Value::Object(members) if !members.is_empty() => {
                out.push('\n');
                object(out, members, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                list(out, items, indent);
            }
            other => {
                out.push(' ');
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
    }
}

fn list(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        if !out.ends_with("- ") {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => object(out, members, indent + 2),
            Value::Array(items) if !items.is_empty() => list(out, items, indent + 2),
            other => {
                out.push_str(&scalar(other));
                out.push('\n');
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

/// Words of YAML 1.1 that mean something else than their letters.
const TAKEN: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];

fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let bare = begins && !text.ends_with(':') && text.chars().all(plain) && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { quoted(text) }
}

/// The double-quoted style (YAML 1.2, 7.3.1). Whatever is not printable ASCII is escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' => write!(out, "\\\""),
            '\\' => write!(out, "\\\\"),
            ' '..='~' => write!(out, "{c}"),
            c if (c as u32) < 0x100 => write!(out, "\\x{:02x}", c as u32),
            c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32),
            c => write!(out, "\\U{:08x}", c as u32),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_form_is_that_of_kubernetes_documents() {
        let value = json!({"b": [{"x": 1, "a": "reg.lan:5000/m"}, [1, ["y"]], {}], "a": {"k": "v1", "e": {}, "l": []}, "c": null});
        let text = document(&value);
        assert_eq!(text, "---\na:\n  e: {}\n  k: v1\n  l: []\nb:\n- a: reg.lan:5000/m\n  x: 1\n- - 1\n  - - \"y\"\n- {}\nc: null\n");
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for text in [
            "",
            "on",
            "No",
            "1:30",
            "0o7",
            "1e3",
            "~",
            "=",
            "<<",
            "- a",
            "a: b",
            "a #b",
            "2026-01-01",
            "10.0.0.1:5000/m",
            ".inf",
            "é",
            "a\nb",
            "x:",
        ] {
            assert!(word(text).starts_with('"'), "{text:?}");
        }
        assert_eq!(word("a\u{1F600}\u{2028}\u{85}\"\\"), "\"a\\U0001f600\\u2028\\x85\\\"\\\\\"");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-zA-Z0-9:~=<.# -]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z0-9 :-]{0,6}", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_reader_gets_the_value_back(value in values()) {
            let text = document(&value);
            prop_assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
            let read: Value = serde_yaml::from_str(&text).unwrap();
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
