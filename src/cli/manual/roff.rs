//! Writing the source of a page (groff_man(7)).

/// The source of a page, while it is made.
pub(super) struct Roff {
    source: String,
    apostrophes: Apostrophes,
}

/// How an apostrophe is written. A bare one is set as a closing quote by some, and nobody can paste that into a shell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Apostrophes {
    /// As a string that is defined for groff and for others.
    Straight,
    /// As it is.
    Bare,
}

/// A piece of text in a font, its characters escaped.
pub(super) struct Piece(String, Font);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Font {
    Roman,
    Bold,
    Italic,
}

pub(super) fn roman(text: impl AsRef<str>) -> Piece {
    Piece(escaped(text.as_ref()), Font::Roman)
}

pub(super) fn bold(text: impl AsRef<str>) -> Piece {
    Piece(escaped(text.as_ref()), Font::Bold)
}

pub(super) fn italic(text: impl AsRef<str>) -> Piece {
    Piece(escaped(text.as_ref()), Font::Italic)
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\e").replace('-', r"\-")
}

impl Roff {
    pub(super) fn new(apostrophes: Apostrophes) -> Roff {
        let mut roff = Roff { source: String::new(), apostrophes };
        if apostrophes == Apostrophes::Straight {
            roff.source += ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
        }
        roff
    }

    /// One request. Arguments are ours: they hold no quotes.
    pub(super) fn request(&mut self, name: &str, arguments: &[&str]) -> &mut Roff {
        self.source += &format!(".{name}");
        for argument in arguments {
            self.source += &match argument.contains(' ') || argument.is_empty() {
                true => format!(" \"{argument}\""),
                false => format!(" {argument}"),
            };
        }
        self.source.push('\n');
        self
    }

    /// One line of text. Line breaks in it stay.
    pub(super) fn text(&mut self, pieces: impl IntoIterator<Item = Piece>) -> &mut Roff {
        let mut line = String::new();
        for Piece(text, font) in pieces {
            line += &match font {
                Font::Roman => text,
                Font::Bold => format!(r"\fB{text}\fR"),
                Font::Italic => format!(r"\fI{text}\fR"),
            };
        }
        // A dot or an apostrophe in front would make a request of it.
        let mut line = line.replace("\n.", "\n\\&.").replace("\n'", "\n\\&'");
        if line.starts_with(['.', '\'']) {
            line.insert_str(0, r"\&");
        }
        if self.apostrophes == Apostrophes::Straight {
            line = line.replace('\'', r"\*(Aq");
        }
        self.source += &line;
        self.source.push('\n');
        self
    }

    /// A command to type, on a line of its own.
    pub(super) fn command(&mut self, line: &str) -> &mut Roff {
        self.request("RS", &["4"]).request("nf", &[]).text([bold(line)]).request("fi", &[]).request("RE", &[])
    }

    /// A word, and what it means.
    pub(super) fn entry(&mut self, word: &str, meaning: &str) -> &mut Roff {
        self.request("TP", &[]).text([bold(word)]).text([roman(meaning)])
    }

    pub(super) fn source(self) -> String {
        self.source
    }
}
