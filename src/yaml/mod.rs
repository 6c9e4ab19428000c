//! YAML and JSON from outside as a tree: every count bounded (aliases multiply, brackets nest), every value with its place.
//!
//! Duplicate keys, letter case and lines are lost in the usual typed reading, so this one goes through a tree. The
//! parser tells a place only inside an error; [`Document::line_of`] makes use of that: it reads the document again and
//! fails on purpose at the value in question. Only paid for when something has to be reported, and exact, since it is
//! the same parser that walks the same way.

mod walk;

use crate::limits;
use std::fmt;
use walk::Walk;

/// Brackets open at a time in what [`admit`] lets in, as often as they may be in texts.
const BRACKETS: usize = 1000;
/// What aliases may make of a small text: a few settings repeated under many names.
const SMALL_TEXT: usize = 1 << 20;

/// Number of a value (or key) in the order in which the document is walked.
pub type Place = usize;

/// A value and its place.
#[derive(Debug)]
pub struct Node {
    /// Its place.
    pub place: Place,
    /// What stands there.
    pub value: Value,
}

/// What YAML and JSON can say without tags of their own.
#[derive(Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth value (of YAML 1.2: `yes` and `on` are texts).
    Bool(bool),
    /// A number written without fraction.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Members in order; merge keys are resolved.
    Map(Vec<Entry>),
}

/// One member of a mapping. Keys may repeat; the reader looks.
#[derive(Debug)]
pub struct Entry {
    /// Its key; scalars become texts as in Go's YAML.
    pub key: String,
    /// Place of the key.
    pub place: Place,
    /// Its value.
    pub node: Node,
}

/// What is read as trees of this kind may grow to, and how its keys are compared.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Values and keys, once aliases are followed ("billion laughs").
    pub values: usize,
    /// Bytes of texts and keys, once aliases are followed.
    pub text: usize,
    /// Brackets open at once, those in texts and comments counted too ([`brackets_are_few`]).
    pub brackets: usize,
    /// Whether keys that differ in letter case are one key to whoever reads the tree: `<<` then overwrites neither.
    pub any_case: bool,
}

/// Why a text is no tree.
#[derive(Debug)]
pub struct Refusal {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nested more deeply than [`crate::limits::NESTING`], or more brackets open than [`Bounds::brackets`].
    TooDeep,
    /// More values or text than the bounds allow.
    TooMuch,
    /// A key that is a list or a mapping.
    Key,
    /// Not YAML; the words of the parser, which may quote the text.
    Syntax(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The parser's own words name the line.
        if let Some(line) = self.line.filter(|_| !matches!(self.trouble, Trouble::Syntax(_))) {
            write!(f, "line {line}: ")?;
        }
        match &self.trouble {
            Trouble::TooDeep => f.write_str("it is nested too deeply"),
            Trouble::TooMuch => f.write_str("it has more values than any real document (aliases?)"),
            Trouble::Key => f.write_str("a key is not a text"),
            Trouble::Syntax(why) => f.write_str(why),
        }
    }
}

/// The first document of a text.
#[derive(Debug)]
pub struct Document {
    /// What it says; nothing at all is [`Value::Null`].
    pub root: Node,
    /// Whether others follow.
    pub more_documents: bool,
    json: bool,
    bounds: Bounds,
}

/// Reads the first document. JSON is tried first where the text begins with a brace: the YAML parser knows no surrogate pairs.
/// What is not JSON may still be YAML in flow style.
///
/// # Errors
/// [`Refusal`].
pub fn parse(bytes: &[u8], bounds: Bounds) -> Result<Document, Refusal> {
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        let walk = Walk::new(bounds);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        match walk.read(&mut json).and_then(|root| json.end().map(|()| root)) {
            Ok(root) => return Ok(Document { root, more_documents: false, json: true, bounds }),
            Err(e) if walk.refused() => return Err(walk.refusal(Some(e.line()), &e)),
            Err(_) => {}
        }
    }
    if !brackets_are_few(bytes, bounds.brackets) {
        return Err(Refusal { line: None, trouble: Trouble::TooDeep });
    }
    let walk = Walk::new(bounds);
    let mut documents = serde_yaml::Deserializer::from_slice(bytes);
    let root = match documents.next() {
        Some(first) => walk.read(first).map_err(|e| walk.refusal(e.location().map(|l| l.line()), &e))?,
        None => Node { place: 0, value: Value::Null },
    };
    Ok(Document { root, more_documents: documents.next().is_some(), json: false, bounds })
}

/// Lets a text in for a typed reader, which counts nothing: an alias hands out the whole of what it names once more, so that 64 KiB
/// become gigabytes, and brackets take the time that [`brackets_are_few`] tells of. What they make of a
/// text may be twice as long, or a mebibyte, and no more.
///
/// # Errors
/// [`Refusal`]; what is wrong with a text without anchors is left to the reader.
pub fn admit(bytes: &[u8]) -> Result<(), Refusal> {
    let text = bytes.len().saturating_mul(2).max(SMALL_TEXT);
    let bounds = Bounds { values: limits::IMAGE_SET_VALUES, text, brackets: BRACKETS, any_case: false };
    if !brackets_are_few(bytes, bounds.brackets) {
        return Err(Refusal { line: None, trouble: Trouble::TooDeep });
    }
    match bytes.contains(&b'&') {
        true => parse(bytes, bounds).map(drop),
        false => Ok(()),
    }
}

/// True where the YAML scanner can be trusted with a text. Its time grows with the square of open brackets, and it has read
/// everything before the first value can be counted: 200 kB of `{a: {a: ...` take ten seconds. Texts and comments are not told
/// apart here, so `most` must be far above what is nested in earnest.
pub fn brackets_are_few(text: &[u8], most: usize) -> bool {
    let mut open = 0usize;
    text.iter().all(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open <= most
    })
}

impl Document {
    /// The line (from 1) on which a value or key begins; through an alias, where the anchored value stands. `bytes` are those that
    /// were parsed.
    pub fn line_of(&self, bytes: &[u8], place: Place) -> Option<usize> {
        let walk = Walk::until(place, self.bounds);
        if self.json {
            let error = walk.read(&mut serde_json::Deserializer::from_slice(bytes)).err()?;
            return Some(error.line());
        }
        let error = walk.read(serde_yaml::Deserializer::from_slice(bytes).next()?).err()?;
        Some(error.location()?.line())
    }
}

/// Applies YAML 1.1 merge keys (`<<: *anchor`): members of the merged mappings, unless written out beside it; of
/// several mappings the first wins. Moves values, so it cannot multiply them.
fn merged(entries: Vec<Entry>, any_case: bool) -> Vec<Entry> {
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|e| e.key == "<<" && mergeable(&e.node.value));
    if merges.is_empty() {
        return own;
    }
    let name = |entry: &Entry| if any_case { entry.key.to_ascii_lowercase() } else { entry.key.clone() };
    let mut present: std::collections::HashSet<String> = own.iter().map(name).collect();
    for merge in merges {
        let maps = match merge.node.value {
            Value::List(list) => list.into_iter().map(|node| node.value).collect(),
            map => vec![map],
        };
        for map in maps {
            let Value::Map(entries) = map else { continue };
            own.extend(entries.into_iter().filter(|e| present.insert(name(e))));
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

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { values: 1000, text: 1000, brackets: 100, any_case: false };

    fn trouble(text: &str) -> Trouble {
        parse(text.as_bytes(), BOUNDS).unwrap_err().trouble
    }

    fn keys(text: &str, any_case: bool) -> Vec<String> {
        let Value::Map(entries) = parse(text.as_bytes(), Bounds { any_case, ..BOUNDS }).unwrap().root.value else { panic!("no mapping") };
        entries.into_iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let of = format!("*a{},", i - 1).repeat(10);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", of.trim_end_matches(',')));
        }
        assert_eq!(trouble(&text), Trouble::TooMuch);
        assert_eq!(trouble(&format!("a: &a {}\nb: [*a, *a, *a]\n", "x".repeat(400))), Trouble::TooMuch);
        assert_eq!(trouble(&format!("{{\"a\": [{}0]}}", "0,".repeat(1000))), Trouble::TooMuch);
    }

    #[test]
    fn deep_nesting_is_refused_soon() {
        for text in ["[".repeat(100_000), "{a: ".repeat(101), "- ".repeat(70), format!("{}x{}", "[".repeat(80), "]".repeat(80))] {
            assert_eq!(trouble(&text), Trouble::TooDeep);
        }
    }

    #[test]
    fn keys_are_texts_as_go_reads_them() {
        assert_eq!(keys("1: a\ntrue: b\n~: c\n1.5: d\n", false), ["1", "true", "null", "1.5"]);
        assert_eq!(trouble("[a]: b\n"), Trouble::Key);
        assert_eq!(trouble("{a: b}: c\n"), Trouble::Key);
    }

    #[test]
    fn of_merged_mappings_the_first_wins_and_what_is_written_out_wins_over_both() {
        let text = "x: &x {a: 1, b: 1}\ny: &y {B: 2, c: 2}\nz:\n  <<: [*x, *y]\n  A: 0\n";
        let z = |any_case| {
            let Value::Map(mut entries) = parse(text.as_bytes(), Bounds { any_case, ..BOUNDS }).unwrap().root.value else { panic!() };
            let Some(Entry { node: Node { value: Value::Map(z), .. }, .. }) = entries.pop() else { panic!() };
            z.into_iter().map(|entry| entry.key).collect::<Vec<_>>().join("")
        };
        assert_eq!((z(true), z(false)), ("Abc".to_owned(), "AabBc".to_owned()));
        assert_eq!(keys("<<: 1\n", false), ["<<"]);
    }

    #[test]
    fn a_refusal_names_its_line_once() {
        let told = |text: &str| parse(text.as_bytes(), BOUNDS).unwrap_err().to_string();
        assert_eq!(told("a: 1\n[b]: 2\n"), "line 2: a key is not a text");
        assert_eq!(told("a: 1\nb: [\n").matches("line ").count(), 1);
    }

    #[test]
    fn a_place_leads_to_its_line() {
        let yaml = b"# c\na: 1\nb:\n- x\n- y\n";
        let document = parse(yaml, BOUNDS).unwrap();
        let Value::Map(entries) = &document.root.value else { panic!() };
        assert_eq!(document.line_of(yaml, entries[1].place), Some(3));
        let Value::List(list) = &entries[1].node.value else { panic!() };
        assert_eq!(document.line_of(yaml, list[1].place), Some(5));
        let json = b"{\n\"a\":\n\"\\ud83d\\ude00\"}";
        let document = parse(json, BOUNDS).unwrap();
        let Value::Map(entries) = &document.root.value else { panic!() };
        assert!(matches!(&entries[0].node.value, Value::Text(text) if text == "\u{1f600}"));
        assert_eq!(document.line_of(json, entries[0].node.place), Some(3));
    }
}
