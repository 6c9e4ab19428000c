//! Names of the files of a set (`sealift-archive(5)`, "Files").

use std::fmt;

/// Longest `STREAM-SEQUENCE`: with the longest suffix a name keeps within the 64 characters of Joliet.
const NAME_CHARS: usize = 41;

/// The name all files of a set begin with: stream and sequence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName {
    stream: String,
    sequence: u64,
}

/// What a file of a set is, by its name. Names only find candidates; digests decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `NAME.index.json`, or its copy.
    Index {
        /// The recovery copy.
        copy: bool,
    },
    /// `NAME.index.json.sig`, `.sig2` ..., or of the copy.
    Signature {
        /// The recovery copy.
        copy: bool,
        /// 1 for `.sig`, 2 for `.sig2` ...
        number: u32,
    },
    /// `NAME.contents.json.zst`, or its copy.
    Contents {
        /// The recovery copy.
        copy: bool,
    },
    /// `NAME-0001.tar.zst`.
    Volume {
        /// From 1.
        number: u32,
    },
}

/// A stream: `[a-z0-9-]{1,32}`, beginning and ending with a letter or digit.
pub fn is_stream(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
}

impl SetName {
    /// Joins stream and sequence; `None` when the stream is not one or the two are too long together for Joliet.
    pub fn new(stream: &str, sequence: u64) -> Option<SetName> {
        let name = SetName { stream: stream.to_owned(), sequence };
        (is_stream(stream) && name.to_string().len() <= NAME_CHARS).then_some(name)
    }

    /// The stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The sequence.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The file name of one part of the set.
    pub fn file(&self, kind: Kind) -> String {
        let copy = |copy: bool| if copy { ".copy" } else { "" };
        match kind {
            Kind::Index { copy: c } => format!("{self}.index{}.json", copy(c)),
            Kind::Signature { copy: c, number: 1 } => format!("{self}.index{}.json.sig", copy(c)),
            Kind::Signature { copy: c, number } => format!("{self}.index{}.json.sig{number}", copy(c)),
            Kind::Contents { copy: c } => format!("{self}.contents{}.json.zst", copy(c)),
            Kind::Volume { number } => format!("{self}-{number:04}.tar.zst"),
        }
    }

    /// Reads a file name back; `None` for whatever else lies in a folder.
    pub fn parse(file: &str) -> Option<(SetName, Kind)> {
        let (stem, kind) = if let Some(stem) = file.strip_suffix(".tar.zst") {
            let (stem, number) = stem.rsplit_once('-')?;
            (stem, Kind::Volume { number: number.parse().ok()? })
        } else if let Some(stem) = file.strip_suffix(".json.zst") {
            let (stem, copy) = uncopy(stem);
            (stem.strip_suffix(".contents")?, Kind::Contents { copy })
        } else if let Some(stem) = file.strip_suffix(".json") {
            let (stem, copy) = uncopy(stem);
            (stem.strip_suffix(".index")?, Kind::Index { copy })
        } else {
            let (stem, number) = file.rsplit_once(".json.sig")?;
            let (stem, copy) = uncopy(stem);
            let number = if number.is_empty() { 1 } else { number.parse().ok().filter(|n| *n > 1)? };
            (stem.strip_suffix(".index")?, Kind::Signature { copy, number })
        };
        let (stream, sequence) = stem.rsplit_once('-')?;
        let name = SetName::new(stream, sequence.parse().ok()?)?;
        // Only the one canonical spelling is ours: `+1`, `007` and the like are somebody else's files.
        (name.file(kind) == file).then_some((name, kind))
    }
}

fn uncopy(stem: &str) -> (&str, bool) {
    match stem.strip_suffix(".copy") {
        Some(stem) => (stem, true),
        None => (stem, false),
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_fit_every_medium() {
        let name = SetName::new(&"s".repeat(30), 1_795_251_234).unwrap();
        for kind in [
            Kind::Index { copy: false },
            Kind::Index { copy: true },
            Kind::Signature { copy: true, number: 1 },
            Kind::Signature { copy: false, number: 16 },
            Kind::Contents { copy: true },
            Kind::Volume { number: 1 },
            Kind::Volume { number: 123_456 },
        ] {
            let file = name.file(kind);
            assert!(file.len() <= 64 && crate::text::is_plain_name(&file), "{file}");
            assert_eq!(SetName::parse(&file), Some((name.clone(), kind)));
        }
    }

    #[test]
    fn other_files_are_not_ours() {
        for file in [
            "README.txt",
            "a-1.index.json.sig1",
            "a-01.index.json",
            "a-1-1.tar.zst",
            "A-1.index.json",
            "-1.index.json",
            "a-1.json",
            "a-+1.index.json",
            ".DS_Store",
            "a-1-0001.tar.zst.incomplete",
        ] {
            assert_eq!(SetName::parse(file), None, "{file}");
        }
        assert!(SetName::new("a b", 1).is_none() && SetName::new("", 1).is_none() && SetName::new(&"s".repeat(32), 1 << 40).is_none());
    }
}
