//! The functions of Go's templates, of sprig and of helm that stand around images. All others give what is unknown.

use super::value::{UNKNOWN, Val};
use crate::helm::yaml;
use crate::limits;
use std::collections::BTreeMap;

/// Arguments of one call.
const MAX_ARGS: usize = 256;

/// The value, and what it cost in steps.
pub(super) fn call(name: &str, args: &[Val]) -> (Val, usize) {
    let weight = |v: &Val| match v {
        Val::Text(text) => text.len() / 64,
        Val::List(list) => list.of.len(),
        Val::Map(map) => map.of.len(),
        _ => 0,
    };
    // More arguments than anybody writes: each may be as long as the longest text.
    let value = if args.len() > MAX_ARGS { Val::Unknown } else { pure(name, args) };
    let cost = 1 + args.iter().map(weight).sum::<usize>() + weight(&value);
    // These walk all members of members.
    let deep = matches!(name, "toYaml" | "mustToYaml" | "toJson" | "mustToJson" | "fromYaml" | "fromJson")
        || name.to_lowercase().contains("merge");
    let text = if let (true, Val::Text(text)) = (deep, &value) { text.len() / 4 } else { 0 };
    (value, cost + text + if deep { 64 } else { 0 })
}

fn pure(name: &str, args: &[Val]) -> Val {
    match (name, args) {
        ("default", [fallback, value]) => or_unknown(value.truth(), |t| if t { value.clone() } else { fallback.clone() }),
        ("default", [fallback]) => fallback.clone(),
        ("required", [_, value]) => value.clone(),
        ("coalesce", values) => coalesce(values),
        ("ternary", [yes, no, test]) => or_unknown(test.truth(), |t| if t { yes.clone() } else { no.clone() }),
        ("not", [value]) => or_unknown(value.truth(), |t| Val::Bool(!t)),
        ("empty", [value]) => or_unknown(value.truth(), |t| Val::Bool(!t)),
        ("eq", [first, rest @ ..]) => any_equal(first, rest),
        ("ne", [a, b]) => or_unknown(equal(a, b), |e| Val::Bool(!e)),
        ("lt" | "le" | "gt" | "ge", [a, b]) => compare(name, a, b),
        ("dict", pairs) => dict(pairs),
        ("list" | "tuple", items) => Val::list(items.to_vec()),
        ("get", [map, Val::Text(key)]) => match map.get(key) {
            Val::Null => Val::text(""),
            value => value,
        },
        ("hasKey", [Val::Map(map), Val::Text(key)]) => Val::Bool(map.of.contains_key(&**key)),
        ("index", [value, path @ ..]) => path.iter().fold(value.clone(), index),
        ("dig", [path @ .., fallback, map]) => dig(path, fallback, map),
        ("first", [Val::List(list)]) => list.of.first().cloned().unwrap_or(Val::Null),
        ("last", [Val::List(list)]) => list.of.last().cloned().unwrap_or(Val::Null),
        ("append", [Val::List(list), item]) => Val::list(list.of.iter().cloned().chain([item.clone()]).collect()),
        ("concat", lists) => concat(lists),
        ("keys", [Val::Map(map)]) => Val::list(map.of.keys().map(Val::text).collect()),
        ("values", [Val::Map(map)]) => Val::list(map.of.values().cloned().collect()),
        ("has", [item, Val::List(list)]) => any_equal(item, &list.of),
        ("len", [value]) => len(value),
        ("merge" | "mustMerge", [first, rest @ ..]) => rest.iter().fold(first.clone(), |a, b| merge(&a, b, false, 0)),
        ("mergeOverwrite" | "mustMergeOverwrite", [first, rest @ ..]) => rest.iter().fold(first.clone(), |a, b| merge(&a, b, true, 0)),
        ("deepCopy" | "mustDeepCopy", [value]) => value.clone(),
        ("lookup", _) => Val::map(BTreeMap::new()),
        ("fail", _) => Val::Null,
        ("kindOf", [value]) => kind(value).map_or(Val::Unknown, Val::text),
        ("kindIs", [Val::Text(wanted), value]) => kind(value).map_or(Val::Unknown, |k| Val::Bool(k == &**wanted)),
        ("typeIs", [Val::Text(wanted), value]) => {
            kind(value).map_or(Val::Unknown, |k| Val::Bool(k == &**wanted || (k == "map" && wanted.starts_with("map["))))
        }
        ("toYaml" | "mustToYaml" | "toYamlPretty", [value]) => {
            let yaml = value.json().and_then(|json| serde_yaml::to_string(&json).ok());
            yaml.map_or(Val::Unknown, |text| Val::text(text.trim_end_matches('\n')))
        }
        ("toJson" | "mustToJson" | "toRawJson", [value]) => value.json().map_or(Val::Unknown, |json| Val::text(json.to_string())),
        ("fromYaml" | "fromJson", [Val::Text(text)]) if !text.contains(UNKNOWN) => {
            yaml::parse(text).map_or(Val::Unknown, |value| Val::of(&value))
        }
        ("int" | "int64" | "atoi", [value]) => int(value),
        ("add" | "sub" | "mul", [Val::Int(a), Val::Int(b)]) => arithmetic(name, *a, *b),
        ("add1", [Val::Int(a)]) => a.checked_add(1).map_or(Val::Unknown, Val::Int),
        _ => texts(name, args),
    }
}

/// Functions of texts. Those in the first half keep what is unknown in its place; the others could cut it away.
fn texts(name: &str, args: &[Val]) -> Val {
    let plain = |v: &Val| !matches!(v, Val::List(_) | Val::Map(_));
    match (name, args) {
        ("printf", [Val::Text(format), rest @ ..]) => printf(format, rest),
        ("print" | "println", args) => joined(args, "", ""),
        ("cat", args) => joined(args, " ", ""),
        ("toString", [value]) if plain(value) => Val::text(value.print()),
        ("quote", args) if args.iter().all(plain) => joined(args, " ", "\""),
        ("squote", args) if args.iter().all(plain) => joined(args, " ", "'"),
        ("trim", [value]) => Val::text(value.print().trim()),
        ("indent", [Val::Int(n), value]) => indent(*n, &value.print(), ""),
        ("nindent", [Val::Int(n), value]) => indent(*n, &value.print(), "\n"),
        ("join", [Val::Text(by), Val::List(list)]) => joined(&list.of, by, ""),
        _ if args.iter().any(Val::is_unknown) => Val::Unknown,
        ("lower", [v]) => Val::text(v.print().to_lowercase()),
        ("upper", [v]) => Val::text(v.print().to_uppercase()),
        ("trunc", [Val::Int(n), v]) => trunc(*n, &v.print()),
        ("trimSuffix", [Val::Text(end), v]) => Val::text(v.print().strip_suffix(&**end).unwrap_or(&v.print())),
        ("trimPrefix", [Val::Text(begin), v]) => Val::text(v.print().strip_prefix(&**begin).unwrap_or(&v.print())),
        ("trimAll", [Val::Text(set), v]) => Val::text(v.print().trim_matches(|c| set.contains(c))),
        ("replace", [Val::Text(from), Val::Text(to), v]) => replace(from, to, &v.print()),
        ("contains", [Val::Text(part), v]) => Val::Bool(v.print().contains(&**part)),
        ("hasPrefix", [Val::Text(begin), v]) => Val::Bool(v.print().starts_with(&**begin)),
        ("hasSuffix", [Val::Text(end), v]) => Val::Bool(v.print().ends_with(&**end)),
        ("splitList", [Val::Text(by), v]) if !by.is_empty() => Val::list(v.print().split(&**by).map(Val::text).collect()),
        ("split", [Val::Text(by), v]) if !by.is_empty() => {
            Val::map(v.print().split(&**by).enumerate().map(|(i, part)| (format!("_{i}"), Val::text(part))).collect())
        }
        _ => Val::Unknown,
    }
}

fn or_unknown<T>(known: Option<T>, then: impl FnOnce(T) -> Val) -> Val {
    known.map_or(Val::Unknown, then)
}

fn coalesce(values: &[Val]) -> Val {
    for value in values {
        match value.truth() {
            Some(true) => return value.clone(),
            Some(false) => {}
            None => return Val::Unknown,
        }
    }
    Val::Null
}

/// `None` where it is not known, or not to be compared.
fn equal(a: &Val, b: &Val) -> Option<bool> {
    if a.is_unknown() || b.is_unknown() {
        return None;
    }
    Some(match (a, b) {
        (Val::List(_) | Val::Map(_), _) | (_, Val::List(_) | Val::Map(_)) => return None,
        (Val::Text(a), Val::Text(b)) => a == b,
        (Val::Text(_), _) | (_, Val::Text(_)) => false,
        (a, b) => a.print() == b.print(),
    })
}

fn any_equal(first: &Val, rest: &[Val]) -> Val {
    let mut unknown = false;
    for other in rest {
        match equal(first, other) {
            Some(true) => return Val::Bool(true),
            Some(false) => {}
            None => unknown = true,
        }
    }
    if unknown { Val::Unknown } else { Val::Bool(false) }
}

fn compare(name: &str, a: &Val, b: &Val) -> Val {
    let number = |v: &Val| match v {
        Val::Int(n) => Some(*n as f64),
        Val::Float(n) => Some(*n),
        _ => None,
    };
    let (Some(a), Some(b)) = (number(a), number(b)) else { return Val::Unknown };
    Val::Bool(match name {
        "lt" => a < b,
        "le" => a <= b,
        "gt" => a > b,
        _ => a >= b,
    })
}

fn dict(pairs: &[Val]) -> Val {
    let mut map = BTreeMap::new();
    for pair in pairs.chunks(2) {
        match pair {
            [Val::Text(key), value] => map.insert(key.to_string(), value.clone()),
            [Val::Text(key)] => map.insert(key.to_string(), Val::text("")),
            _ => return Val::Unknown,
        };
    }
    Val::map(map)
}

fn index(value: Val, key: &Val) -> Val {
    match (&value, key) {
        (Val::Map(_), Val::Text(key)) => value.get(key),
        (Val::List(list), Val::Int(n)) => usize::try_from(*n).ok().and_then(|n| list.of.get(n).cloned()).unwrap_or(Val::Null),
        (Val::Null, _) => Val::Null,
        _ => Val::Unknown,
    }
}

fn dig(path: &[Val], fallback: &Val, map: &Val) -> Val {
    match path.iter().fold(map.clone(), index) {
        Val::Null => fallback.clone(),
        value => value,
    }
}

/// Texts one after another, each in quotes; unknown where that is longer than a text may be.
fn joined(values: &[Val], by: &str, quote: &str) -> Val {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        for part in [if i > 0 { by } else { "" }, quote, &value.print(), quote] {
            out.push_str(part);
        }
        if out.len() > limits::TEMPLATE_TEXT {
            return Val::Unknown;
        }
    }
    Val::text(out)
}

fn concat(lists: &[Val]) -> Val {
    let mut all = Vec::new();
    for list in lists {
        match list {
            _ if all.len() > limits::CHART_VALUES => return Val::Unknown,
            Val::List(list) => all.extend(list.of.iter().cloned()),
            _ => return Val::Unknown,
        }
    }
    Val::list(all)
}

fn len(value: &Val) -> Val {
    let n = match value {
        Val::List(list) => list.of.len(),
        Val::Map(map) => map.of.len(),
        Val::Null => 0,
        Val::Text(text) if !text.contains(UNKNOWN) => text.len(),
        _ => return Val::Unknown,
    };
    i64::try_from(n).map_or(Val::Unknown, Val::Int)
}

/// Maps laid together: without `over` the first one's members stay unless they are empty, as in Go's mergo.
fn merge(a: &Val, b: &Val, over: bool, depth: usize) -> Val {
    let (Val::Map(first), Val::Map(second)) = (a, b) else {
        return match (a, b) {
            (Val::Map(_), Val::Null) => a.clone(),
            (Val::Null, Val::Map(_)) => b.clone(),
            _ => Val::Unknown,
        };
    };
    let mut members = first.of.clone();
    for (key, theirs) in &second.of {
        let value = match members.get(key) {
            Some(ours @ Val::Map(_)) if matches!(theirs, Val::Map(_)) && depth < limits::NESTING => merge(ours, theirs, over, depth + 1),
            Some(ours) if over => or_unknown(theirs.truth(), |t| if t { theirs.clone() } else { ours.clone() }),
            Some(ours) => or_unknown(ours.truth(), |t| if t { ours.clone() } else { theirs.clone() }),
            None => theirs.clone(),
        };
        members.insert(key.clone(), value);
    }
    Val::map(members)
}

fn kind(value: &Val) -> Option<&'static str> {
    Some(match value {
        Val::Unknown => return None,
        Val::Null => "invalid",
        Val::Bool(_) => "bool",
        Val::Int(_) => "int64",
        Val::Float(_) => "float64",
        Val::Text(_) => "string",
        Val::List(_) => "slice",
        Val::Map(_) => "map",
    })
}

fn int(value: &Val) -> Val {
    match value {
        Val::Int(n) => Val::Int(*n),
        Val::Float(n) => Val::Int(*n as i64),
        Val::Null => Val::Int(0),
        Val::Text(text) if !text.contains(UNKNOWN) => Val::Int(text.parse().unwrap_or(0)),
        _ => Val::Unknown,
    }
}

fn arithmetic(name: &str, a: i64, b: i64) -> Val {
    let value = match name {
        "add" => a.checked_add(b),
        "sub" => a.checked_sub(b),
        _ => a.checked_mul(b),
    };
    value.map_or(Val::Unknown, Val::Int)
}

fn indent(n: i64, text: &str, before: &str) -> Val {
    // Wider than any document is a trap, not a width.
    let Some(width) = usize::try_from(n).ok().filter(|n| *n <= 256) else { return Val::Unknown };
    if text.len().saturating_add(width * text.lines().count()) > limits::TEMPLATE_TEXT {
        return Val::Unknown;
    }
    let space = " ".repeat(width);
    Val::text(format!("{before}{space}{}", text.replace('\n', &format!("\n{space}"))))
}

fn trunc(n: i64, text: &str) -> Val {
    let count = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    let chars = text.chars().count();
    match n {
        0.. => Val::text(text.chars().take(count).collect::<String>()),
        _ => Val::text(text.chars().skip(chars.saturating_sub(count)).collect::<String>()),
    }
}

fn replace(from: &str, to: &str, text: &str) -> Val {
    // An empty pattern stands between all characters; and what grows by each match can grow without measure.
    if from.is_empty() || text.matches(from).count().saturating_mul(to.len()) > limits::TEMPLATE_TEXT {
        return Val::Unknown;
    }
    Val::text(text.replace(from, to))
}

/// Go's format, with the verbs that charts use.
fn printf(format: &str, args: &[Val]) -> Val {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let verb = chars.next();
        if verb == Some('%') {
            out.push('%');
            continue;
        }
        let text = match (verb, args.next()) {
            (Some('s' | 'v' | 'd' | 't'), Some(value)) => value.print(),
            (Some('q'), Some(value)) => format!("\"{}\"", value.print()),
            _ => return Val::Unknown,
        };
        out.push_str(&text);
        if out.len() > limits::TEMPLATE_TEXT {
            return Val::Unknown;
        }
    }
    Val::text(out)
}
