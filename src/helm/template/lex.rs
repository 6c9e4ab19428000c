//! Templates as text and actions, and actions as words (Go, package text/template, "Text and spaces", "Arguments").

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

/// Cuts a template; white space beside `{{-` and `-}}` is gone. `None` for an action that does not end.
pub(super) fn pieces(source: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut trim_next = false;
    loop {
        let open = rest.find("{{");
        let (text, after) = rest.split_at(open.unwrap_or(rest.len()));
        let body = after.get(2..).unwrap_or_default();
        let trims = body.strip_prefix('-').is_some_and(|b| b.starts_with(|c: char| c.is_ascii_whitespace()));
        let text = if trim_next { text.trim_ascii_start() } else { text };
        let text = if trims { text.trim_ascii_end() } else { text };
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if open.is_none() {
            return Some(pieces);
        }
        let body = if trims { body.get(1..)? } else { body };
        let end = action_end(body)?;
        let inner = body.get(..end)?;
        rest = body.get(end + 2..)?;
        trim_next = inner.strip_suffix('-').is_some_and(|b| b.is_empty() || b.ends_with(|c: char| c.is_ascii_whitespace() || c == '/'));
        let inner = if trim_next { inner.strip_suffix('-').unwrap_or(inner) } else { inner };
        let inner = inner.trim_ascii();
        if !inner.starts_with("/*") {
            pieces.push(Piece::Action(inner));
        }
    }
}

/// Where `}}` is, texts and comments passed over.
fn action_end(body: &str) -> Option<usize> {
    if body.trim_ascii_start().starts_with("/*") {
        let comment = body.find("*/")?;
        return body.get(comment..)?.find("}}").map(|at| comment + at);
    }
    let bytes = body.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' | b'`' => at = string_end(bytes, at)?,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Behind the closing quote of the string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = *bytes.get(at)?;
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// `if`, `include`, `true` ...
    Name(String),
    /// `.` alone.
    Dot,
    /// `.a` (one step; a chain is several).
    Field(String),
    /// `$x`; `$` alone is empty.
    Var(String),
    Text(String),
    Int(i64),
    Float(f64),
    Pipe,
    Open,
    Close,
    Assign,
    Declare,
    Comma,
    /// White space: `.a .b` are two arguments, `.a.b` is one.
    Space,
}

/// The words of an action; `None` for what no template holds.
pub(super) fn words(action: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let bytes = action.as_bytes();
    let name_end = |from: usize| {
        let is = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
        from + bytes.get(from..).unwrap_or_default().iter().take_while(|b| is(b)).count()
    };
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (word, next) = match byte {
            b if b.is_ascii_whitespace() => (Word::Space, at + 1),
            b'|' => (Word::Pipe, at + 1),
            b'(' => (Word::Open, at + 1),
            b')' => (Word::Close, at + 1),
            b',' => (Word::Comma, at + 1),
            b':' if bytes.get(at + 1) == Some(&b'=') => (Word::Declare, at + 2),
            b'=' => (Word::Assign, at + 1),
            b'.' => match name_end(at + 1) {
                end if end == at + 1 => (Word::Dot, end),
                end => (Word::Field(action.get(at + 1..end)?.to_owned()), end),
            },
            b'$' => {
                let end = name_end(at + 1);
                (Word::Var(action.get(at + 1..end)?.to_owned()), end)
            }
            b'`' | b'"' | b'\'' => {
                let end = string_end(bytes, at)?;
                let inner = action.get(at + 1..end - 1)?;
                (if byte == b'`' { Word::Text(inner.to_owned()) } else { Word::Text(unescaped(inner)) }, end)
            }
            b'0'..=b'9' | b'-' | b'+' => {
                let is = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
                let end = at + 1 + bytes.get(at + 1..)?.iter().take_while(|b| is(b)).count();
                (number(action.get(at..end)?)?, end)
            }
            b if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 => {
                let end = name_end(at);
                (Word::Name(action.get(at..end)?.to_owned()), end)
            }
            _ => return None,
        };
        if !(word == Word::Space && words.last() == Some(&Word::Space)) {
            words.push(word);
        }
        at = next;
    }
    Some(words)
}

fn number(text: &str) -> Option<Word> {
    let digits = text.replace('_', "");
    if let Ok(n) = digits.parse() {
        return Some(Word::Int(n));
    }
    let octal = digits.strip_prefix("0x").map(|hex| i64::from_str_radix(hex, 16));
    match octal {
        Some(Ok(n)) => Some(Word::Int(n)),
        _ => digits.parse().ok().map(Word::Float),
    }
}

/// Go's escapes, as far as templates use them.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_actions() {
        let got = pieces("a {{- x -}} b {{/* }} */}}{{ `}}` }}c").unwrap();
        assert_eq!(got, [Piece::Text("a"), Piece::Action("x"), Piece::Text("b "), Piece::Action("`}}`"), Piece::Text("c")]);
        assert_eq!(pieces("{{- /* c */ -}} x").unwrap(), [Piece::Text("x")]);
        assert!(pieces("{{ a").is_none());
        assert_eq!(pieces("{{-1}}").unwrap(), [Piece::Action("-1")]);
    }

    #[test]
    fn chains_and_arguments_are_told_apart() {
        let field = |s: &str| Word::Field(s.into());
        assert_eq!(words(".a.b .c").unwrap(), [field("a"), field("b"), Word::Space, field("c")]);
        assert_eq!(words("$x := 1").unwrap(), [Word::Var("x".into()), Word::Space, Word::Declare, Word::Space, Word::Int(1)]);
        assert_eq!(words(r#""a\"b""#).unwrap(), [Word::Text("a\"b".into())]);
        assert!(words("a; b").is_none());
    }
}
