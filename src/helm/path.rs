//! `imagePaths`: JSONPath as kubectl understands it (Kubernetes documentation, "JSONPath Support"), for finding texts.
//!
//! `{.spec.x[*].image}`, `$.a.b`, `['a.b']`, `[0]`, `[-1]`, `[1:3]`, `[0,2]`, `.*`, `..name`, `[?(@.name=="x")]`, `[?(@.name)]`.
//! What is not understood is refused when the path is read, never when it is used.

use crate::limits;
use crate::text::shown;
use serde_json::Value;

/// A path that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePath {
    text: String,
    steps: Vec<Step>,
}

/// A path that was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not understood at {:?}: {why}", shown(.path).to_string(), shown(.at).to_string())]
pub struct PathError {
    /// The path.
    pub path: String,
    /// From where on; empty at its end.
    pub at: String,
    /// What was expected there.
    pub why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Keys(Vec<String>),
    Places(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    All,
    /// The value and everything below it.
    Deep,
    Filter(Vec<String>, Option<(bool, Value)>),
}

impl ImagePath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<ImagePath, PathError> {
        let trimmed = text.trim();
        let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
            (Some(_), Some(_)) => trimmed.get(1..trimmed.len() - 1).unwrap_or_default().trim(),
            _ => trimmed,
        };
        let mut reader = Reader { rest: inner.strip_prefix(['$', '@']).unwrap_or(inner) };
        let steps = reader.steps();
        steps
            .map_err(|why| PathError { path: text.to_owned(), at: reader.rest.to_owned(), why })
            .map(|steps| ImagePath { text: text.to_owned(), steps })
    }

    /// All texts at the path, in the order of the document.
    pub(super) fn find<'v>(&self, document: &'v Value) -> Vec<&'v str> {
        let mut at = vec![document];
        for step in &self.steps {
            at = step.apply(&at);
            at.truncate(limits::CHART_IMAGES);
        }
        at.into_iter().filter_map(Value::as_str).collect()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn steps(&mut self) -> Result<Vec<Step>, &'static str> {
        let mut steps = Vec::new();
        while !self.rest.is_empty() {
            if steps.len() >= limits::NESTING {
                return Err("it has more steps than any document is deep");
            }
            if let Some(rest) = self.rest.strip_prefix("..") {
                steps.push(Step::Deep);
                self.rest = rest;
                if !rest.starts_with('[') {
                    steps.push(self.name()?);
                }
            } else if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                if !rest.starts_with('[') {
                    steps.push(self.name()?);
                }
            } else if self.rest.starts_with('[') {
                steps.push(self.brackets()?);
            } else if steps.is_empty() {
                // kubectl takes a first name without its dot.
                steps.push(self.name()?);
            } else {
                return Err("a step begins with . or [");
            }
        }
        if steps.is_empty() { Err("it names nothing") } else { Ok(steps) }
    }

    /// A name up to the next `.` or `[`; a backslash takes the next character as it is.
    fn name(&mut self) -> Result<Step, &'static str> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let end = loop {
            match chars.next() {
                None => break self.rest.len(),
                Some((at, '.' | '[')) => break at,
                Some((_, '\\')) => name.extend(chars.next().map(|(_, c)| c)),
                Some((_, '{' | '}' | ']' | '(' | ')' | '|' | '"' | '\'' | ' ')) => return Err("this character stands only in ['...']"),
                Some((_, c)) => name.push(c),
            }
        };
        if name.is_empty() {
            return Err("a name is missing");
        }
        self.rest = self.rest.get(end..).unwrap_or_default();
        Ok(if name == "*" { Step::All } else { Step::Keys(vec![name]) })
    }

    fn brackets(&mut self) -> Result<Step, &'static str> {
        let inner = self.rest.get(1..).unwrap_or_default();
        if let Some(filter) = inner.strip_prefix("?(") {
            let end = filter.find(")]").ok_or("a filter ends with )]")?;
            let step = filter_step(filter.get(..end).unwrap_or_default())?;
            self.rest = filter.get(end + 2..).unwrap_or_default();
            return Ok(step);
        }
        let end = closing(inner).ok_or("the ] is missing")?;
        let step = selector(inner.get(..end).unwrap_or_default().trim())?;
        self.rest = inner.get(end + 1..).unwrap_or_default();
        Ok(step)
    }
}

/// Where the `]` is, quoted ones passed over.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some(at),
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<&str> {
    let text = text.trim();
    ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q))
}

fn selector(text: &str) -> Result<Step, &'static str> {
    const WANTED: &str = "inside [ ] stands *, 'name', a number, or from:to";
    if text == "*" {
        return Ok(Step::All);
    }
    if text.starts_with(['\'', '"']) {
        let keys: Option<Vec<String>> = split_quoted(text).into_iter().map(|part| quoted(part).map(str::to_owned)).collect();
        return keys.map(Step::Keys).ok_or(WANTED);
    }
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| WANTED);
    if let Some((from, to)) = text.split_once(':') {
        let end = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
        return Ok(Step::Slice(end(from)?, end(to)?));
    }
    Ok(Step::Places(text.split(',').map(number).collect::<Result<_, _>>()?))
}

fn split_quoted(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ',') => {
                parts.extend(text.get(from..at));
                from = at + 1;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts
}

/// `@.a.b`, `@.a == "x"`, `@.a != 'x'`.
fn filter_step(text: &str) -> Result<Step, &'static str> {
    let (path, test) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((path, value)), _) => (path, Some((true, value))),
        (None, Some((path, value))) => (path, Some((false, value))),
        (None, None) if text.contains(['<', '>', '=', '&', '|', '!']) => return Err("of filters, only == and != are known"),
        (None, None) => (text, None),
    };
    let path = path.trim().strip_prefix('@').ok_or("a filter begins with @")?;
    let mut reader = Reader { rest: path };
    let mut keys = Vec::new();
    for step in reader.steps()? {
        match step {
            Step::Keys(mut names) if names.len() == 1 => keys.append(&mut names),
            _ => return Err("a filter compares one named member"),
        }
    }
    let test = match test {
        Some((is, value)) => match quoted(value) {
            Some(text) => Some((is, Value::String(text.to_owned()))),
            None => Some((is, serde_json::from_str(value.trim()).map_err(|_| "a filter compares with a text in quotes or a number")?)),
        },
        None => None,
    };
    Ok(Step::Filter(keys, test))
}

impl Step {
    fn apply<'v>(&self, from: &[&'v Value]) -> Vec<&'v Value> {
        let mut to = Vec::new();
        for value in from {
            match self {
                Step::Keys(keys) => to.extend(keys.iter().filter_map(|key| value.get(key.as_str()))),
                Step::Places(places) => {
                    to.extend(value.as_array().into_iter().flat_map(|list| places.iter().filter_map(|p| list.get(place(*p, list.len())?))));
                }
                Step::Slice(begin, end) => to.extend(slice(value, *begin, *end)),
                Step::All => to.extend(members(value)),
                Step::Deep => descend(value, 0, &mut to),
                Step::Filter(keys, test) => to.extend(members(value).filter(|member| passes(member, keys, test.as_ref()))),
            }
        }
        to
    }
}

fn members(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Counted from the end where negative.
fn place(n: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if n < 0 { len.checked_add(n)? } else { n }).ok()
}

fn slice(value: &Value, begin: Option<i64>, end: Option<i64>) -> &[Value] {
    let Some(list) = value.as_array() else { return &[] };
    let bound = |n: i64| place(n, list.len()).unwrap_or(0).min(list.len());
    let (begin, end) = (begin.map_or(0, bound), end.map_or(list.len(), bound));
    list.get(begin..end).unwrap_or_default()
}

fn descend<'v>(value: &'v Value, depth: usize, to: &mut Vec<&'v Value>) {
    to.push(value);
    // Documents are no deeper than this anyway.
    if depth <= limits::NESTING {
        members(value).for_each(|member| descend(member, depth + 1, to));
    }
}

fn passes(member: &Value, keys: &[String], test: Option<&(bool, Value)>) -> bool {
    let found = keys.iter().try_fold(member, |value, key| value.get(key.as_str()));
    match (found, test) {
        (found, None) => found.is_some(),
        (Some(found), Some((is, wanted))) => (found == wanted) == *is,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn find(path: &str) -> Vec<String> {
        let document = json!({"spec": {"a.b": "dotted", "containers": [
            {"name": "x", "image": "i:1", "env": [{"value": "v:1"}, {"value": "w:1"}]},
            {"name": "y", "image": "i:2"}, {"name": "z", "image": "i:3"}], "deep": {"image": "i:4", "n": 3}}});
        ImagePath::parse(path).unwrap().find(&document).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn paths_as_kubectl_reads_them() {
        assert_eq!(find("{.spec.containers[*].image}"), ["i:1", "i:2", "i:3"]);
        assert_eq!(find("$.spec.deep.image"), ["i:4"]);
        assert_eq!(find("spec.containers[0].image"), ["i:1"]);
        assert_eq!(find(".spec.containers[-1]['image']"), ["i:3"]);
        assert_eq!(find(".spec.containers[0,2].image"), ["i:1", "i:3"]);
        assert_eq!(find(".spec.containers[1:].image"), ["i:2", "i:3"]);
        assert_eq!(find(".spec['a.b']"), ["dotted"]);
        assert_eq!(find(r".spec.a\.b"), ["dotted"]);
        assert_eq!(find("{..image}"), ["i:1", "i:2", "i:3", "i:4"]);
        assert_eq!(find("{.spec.containers[*].env[*].value}"), ["v:1", "w:1"]);
        assert_eq!(find(r#"{.spec.containers[?(@.name=="y")].image}"#), ["i:2"]);
        assert_eq!(find(".spec.containers[?(@.name != 'y')]['name','image']"), ["x", "i:1", "z", "i:3"]);
        assert_eq!(find(".spec.containers[?(@.env)].name"), ["x"]);
        assert_eq!(find(".nothing[3].here"), [""; 0]);
    }

    #[test]
    fn what_is_not_understood_says_where() {
        for (path, at) in [
            ("{.a[}", "[}"),
            ("", ""),
            (".a..", ""),
            (".a[?(@.x > 1)]", "[?(@.x > 1)]"),
            ("{range .a[*]}", "range .a[*]"),
            (".a[b]", "[b]"),
        ] {
            let error = ImagePath::parse(path).unwrap_err();
            assert_eq!(error.at, at.trim_end_matches('}'), "{error}");
        }
        assert!(ImagePath::parse(&".a".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "([.\\[\\]'\"*?@():,{}$a-c0-9=! -]|é){0,30}") {
            if let Ok(path) = ImagePath::parse(&path) {
                path.find(&json!({"a": [{"b": "é"}, "c"], "b": {"a": {"c": [1, [2]]}}}));
            }
        }
    }
}
