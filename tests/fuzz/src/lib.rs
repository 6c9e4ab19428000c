//! What the fuzz targets share: input cut into values, and small documents to begin from.
//!
//! Inputs of most targets begin with a byte that chooses. Documents come in two ways: as raw bytes, or as a valid one to which the
//! input makes changes ([`edited`]), which gets past the readers' first checks.

#![forbid(unsafe_code)]

pub mod samples;
pub mod seeds;

use serde_json::Value;
use tempfile::TempDir;

/// An input, read from its beginning. What is not there is zero or empty.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// At most so many bytes.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Two bytes.
    pub fn short(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// Everything up to the next byte 0, which is dropped.
    pub fn piece(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let piece = self.take(end);
        self.take(1);
        piece
    }

    /// [`Input::piece`] as text.
    pub fn word(&mut self) -> String {
        String::from_utf8_lossy(self.piece()).into_owned()
    }
}

/// Values that readers and sums stumble over.
fn awkward(choice: u8) -> Value {
    let digest = format!("sha256:{}", "0".repeat(64));
    let values = [
        Value::Null,
        true.into(),
        0.into(),
        1.into(),
        (-1).into(),
        u64::from(u32::MAX).into(),
        i64::MAX.into(),
        u64::MAX.into(),
        (1u64 << 20).into(),
        (4u64 << 30).into(),
        0.5.into(),
        "".into(),
        "a/../b".into(),
        "\u{202e}\u{0}\u{1b}[2J".into(),
        digest.into(),
        "sha512:00".into(),
        "x".repeat(5000).into(),
        Value::Array(vec![]),
        serde_json::json!({}),
        "stored".into(),
        "9999999999.0.0".into(),
        "1.2.3-rc.1+b".into(),
        "//:@".into(),
    ];
    values[usize::from(choice) % values.len()].clone()
}

fn pointers(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| pointers(item, format!("{at}/{i}"), out)),
        Value::Object(members) => members.iter().for_each(|(k, v)| {
            pointers(v, format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), out);
        }),
        _ => {}
    }
    out.push(at);
}

/// The document after the changes that the input describes.
pub fn edited(mut document: Value, input: &mut Input<'_>) -> Value {
    for _ in 0..input.byte() % 12 {
        let mut all = Vec::new();
        pointers(&document, String::new(), &mut all);
        let at = all[input.short() % all.len()].clone();
        let other = document.pointer(&all[input.short() % all.len()]).cloned().unwrap_or_default();
        // Copies of copies must not grow without end.
        if all.len() > 2000 {
            break;
        }
        let action = input.byte();
        let choice = input.byte();
        if action % 8 == 0 {
            let (parent, key) = at.rsplit_once('/').unwrap_or_default();
            match document.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(key)),
                Some(Value::Array(items)) if !items.is_empty() => drop(items.remove(usize::from(choice) % items.len())),
                _ => {}
            }
            continue;
        }
        let Some(place) = document.pointer_mut(&at) else { continue };
        match action % 8 {
            1 | 2 => *place = awkward(choice),
            3 => *place = other,
            4 => *place = String::from_utf8_lossy(input.take(usize::from(choice) % 40)).into_owned().into(),
            5 => match place {
                Value::Array(items) => items.push(other),
                Value::Object(members) => drop(members.insert(input.word(), other)),
                Value::String(text) => text.push_str(&input.word()),
                _ => {}
            },
            6 => match place {
                Value::Array(items) => items.extend(items.clone()),
                Value::Number(number) => *place = number.as_u64().unwrap_or(0).wrapping_add(u64::from(choice)).wrapping_sub(128).into(),
                _ => *place = choice.into(),
            },
            _ => *place = u64::from_le_bytes(std::array::from_fn(|_| input.byte())).into(),
        }
    }
    document
}

/// A document for its reader: raw, or a sample with changes.
pub fn document(sample: impl FnOnce() -> Value, input: &mut Input<'_>) -> Vec<u8> {
    match input.byte() % 3 {
        0 => input.0.to_vec(),
        _ => edited(sample(), input).to_string().into_bytes(),
    }
}

/// A folder in memory, where the system has one.
pub fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    let made = if memory.is_dir() { builder.prefix("sealift-fuzz").tempdir_in(memory) } else { builder.tempdir() };
    made.expect("a folder for the target")
}
