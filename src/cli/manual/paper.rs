//! Setting a page as plain text, as groff_man(7) says of the requests the pages use. What is not known is an error: a page
//! is shown whole or not at all.

use super::Unknown;
use super::read::{Line, Registers, line, unescaped};

/// Columns in front of text; headings of sections stand at the edge, those below them in between.
const MARGIN: usize = 7;
const SUBSECTION: usize = 3;
/// How far what belongs to a word or number stands to the right of it, where the page does not say.
const INDENT: usize = 7;
/// Narrower than this nothing can be read any more.
const NARROWEST: usize = 40;

/// A page (its source) as plain text, no line of running text longer than `width` columns (at least 40). Lines that are to be kept as
/// they are may be longer.
///
/// # Errors
/// [`Unknown`] for what is none of the requests and escapes known here.
pub fn text(source: &str, width: usize) -> Result<String, Unknown> {
    let mut paper = Paper { width: width.max(NARROWEST), margin: MARGIN, prevailing: INDENT, filled: true, ..Paper::default() };
    for one in source.lines() {
        match line(one) {
            Line::Silent => {}
            Line::Text(text) => {
                let text = unescaped(text, &mut paper.registers)?;
                paper.say(&text);
            }
            Line::Request(name, arguments) => paper.request(name, &arguments)?,
        }
    }
    paper.end();
    match paper.outer.is_empty() && paper.filled {
        true => Ok(paper.lines.join("\n") + "\n"),
        false => Err(Unknown::Open),
    }
}

#[derive(Default)]
struct Paper {
    width: usize,
    lines: Vec<String>,
    /// Words that wait for their line.
    words: Vec<String>,
    /// What stands in front of the paragraph, and the columns it begins at.
    tag: Option<String>,
    /// The next text is a tag.
    tag_follows: bool,
    margin: usize,
    /// Of the paragraph, beyond the margin.
    indent: usize,
    prevailing: usize,
    /// Margins and indents outside of `.RS`.
    outer: Vec<(usize, usize, usize)>,
    filled: bool,
    /// Nothing stands below the last heading yet.
    fresh: bool,
    registers: Registers,
}

impl Paper {
    fn request(&mut self, name: &str, arguments: &[String]) -> Result<(), Unknown> {
        let words = arguments.iter().map(|word| unescaped(word, &mut self.registers)).collect::<Result<Vec<String>, Unknown>>()?;
        match name {
            "TH" => self.title(&words),
            "SH" => self.heading(0, &words),
            "SS" => self.heading(SUBSECTION, &words),
            "PP" => {
                self.paragraph();
                (self.indent, self.prevailing) = (0, INDENT);
            }
            "TP" => {
                self.paragraph();
                self.prevails(words.first())?;
                self.tag_follows = true;
            }
            "IP" => {
                self.paragraph();
                self.prevails(words.get(1))?;
                self.indent = self.prevailing;
                self.tag = words.into_iter().next().filter(|tag| !tag.is_empty());
            }
            "RS" => {
                self.end();
                self.outer.push((self.margin, self.indent, self.prevailing));
                self.margin += columns(words.first())?.unwrap_or(self.prevailing);
                (self.indent, self.prevailing) = (0, INDENT);
            }
            "RE" => {
                self.end();
                (self.margin, self.indent, self.prevailing) = self.outer.pop().ok_or(Unknown::Open)?;
            }
            "nf" | "EX" => self.fill(false),
            "fi" | "EE" => self.fill(true),
            "br" => self.end(),
            "nr" => self.registers.set(&words)?,
            "B" | "I" => self.say(&words.join(" ")),
            "BR" | "RB" | "IR" | "RI" | "BI" | "IB" => self.say(&words.concat()),
            _ => return Err(Unknown::Request(name.to_owned())),
        }
        Ok(())
    }

    /// The line at the top: the page at both ends, the manual between.
    fn title(&mut self, words: &[String]) {
        let word = |i: usize| words.get(i).map(String::as_str).unwrap_or_default();
        let (page, manual) = (format!("{}({})", word(0), word(1)), word(4));
        let room = self.width.saturating_sub(2 * page.len() + manual.len());
        let (left, right) = (room / 2, room - room / 2);
        self.lines.push(match room {
            0 => page,
            _ => format!("{page}{}{manual}{}{page}", " ".repeat(left), " ".repeat(right)),
        });
    }

    fn heading(&mut self, column: usize, words: &[String]) {
        self.paragraph();
        self.outer.clear();
        (self.margin, self.indent, self.prevailing) = (MARGIN, 0, INDENT);
        self.lines.push(" ".repeat(column) + &words.join(" "));
        self.fresh = true;
    }

    /// Ends what was, with an empty line behind it.
    fn paragraph(&mut self) {
        self.end();
        if !self.fresh && self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn prevails(&mut self, said: Option<&String>) -> Result<(), Unknown> {
        self.prevailing = columns(said)?.unwrap_or(self.prevailing);
        Ok(())
    }

    fn fill(&mut self, filled: bool) {
        self.end();
        self.filled = filled;
    }

    fn say(&mut self, text: &str) {
        if std::mem::take(&mut self.tag_follows) {
            self.indent = self.prevailing;
            self.tag = Some(text.to_owned());
        } else if !self.filled {
            self.words.push(text.to_owned());
            self.end();
        } else if text.trim().is_empty() {
            self.paragraph();
        } else {
            self.words.extend(text.split_whitespace().map(str::to_owned));
        }
    }

    /// Sets what waits.
    fn end(&mut self) {
        let left = self.margin + self.indent;
        let mut line = match self.tag.take() {
            // A tag that reaches into the text has a line of its own.
            Some(tag) => {
                let start = format!("{}{tag}", " ".repeat(self.margin));
                if start.chars().count() < left {
                    format!("{start:<left$}")
                } else {
                    self.put(&start);
                    " ".repeat(left)
                }
            }
            None => " ".repeat(left),
        };
        let mut free = true;
        for word in std::mem::take(&mut self.words) {
            if !free && line.chars().count() + 1 + word.chars().count() > self.width {
                self.put(&std::mem::replace(&mut line, " ".repeat(left)));
                free = true;
            }
            if !std::mem::take(&mut free) {
                line.push(' ');
            }
            line += &word;
        }
        if !line.trim().is_empty() || (!self.filled && !free) {
            self.put(&line);
        }
    }

    fn put(&mut self, line: &str) {
        self.lines.push(line.trim_end().to_owned());
        self.fresh = false;
    }
}

/// A distance in columns.
fn columns(said: Option<&String>) -> Result<Option<usize>, Unknown> {
    said.map(|text| text.parse().map_err(|_| Unknown::Request(format!("a distance of {text}")))).transpose()
}
