//! Which paths a Rust source names: enough of the language to see `use` trees and paths in code, nothing more.

/// A source without comments, literals and test code, cut into words and signs.
pub struct Source {
    tokens: Vec<String>,
    /// Modules declared for tests only (`#[cfg(test)] mod tests;`): their files are test code.
    pub test_modules: Vec<String>,
}

impl Source {
    /// Reads a source file.
    pub fn parse(text: &str) -> Source {
        let (tokens, test_modules) = without_tests(words(text));
        Source { tokens, test_modules }
    }

    /// All paths of two or more parts in the code, and every path a `use` brings in, whole (`use a::{b, c::d}` is
    /// `a::b` and `a::c::d`), and every macro call as one part (`println!`).
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        let mut at = 0;
        while let Some(token) = self.get(at) {
            if token == "use" {
                at = self.use_tree(at + 1, &[], &mut paths);
                continue;
            }
            if !is_word(token) {
                at += 1;
                continue;
            }
            let mut path = vec![token.to_owned()];
            at += 1;
            while self.get(at) == Some("::") && self.get(at + 1).is_some_and(is_word) {
                path.extend(self.get(at + 1).map(str::to_owned));
                at += 2;
            }
            if path.len() == 1 && self.get(at) == Some("!") && self.get(at + 1) != Some("=") {
                paths.push(vec![format!("{token}!")]);
            } else if path.len() > 1 {
                paths.push(path);
            }
        }
        paths
    }

    /// Reads one branch of a `use` and gives where it ends.
    fn use_tree(&self, mut at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        let mut path = prefix.to_vec();
        loop {
            match self.get(at) {
                Some("::") => at += 1,
                Some("as") => at += 2,
                Some("{") => {
                    at += 1;
                    while !matches!(self.get(at), Some("}") | None) {
                        at = self.use_tree(at, &path, paths);
                        at += usize::from(self.get(at) == Some(","));
                    }
                    return at + 1;
                }
                Some("*") => at += 1,
                Some(word) if is_word(word) => {
                    path.push(word.to_owned());
                    at += 1;
                }
                _ => {
                    paths.push(path);
                    return at;
                }
            }
        }
    }

    fn get(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).map(String::as_str)
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Cuts a source into words and signs; comments and the insides of literals are left out.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut tokens, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if c == '"' {
            i = after_string(&chars, i + 1);
        } else if let Some(end) = raw_string(&chars, i) {
            i = end;
        } else if c == '\'' {
            // A character or a lifetime: 'x' or '\n' closes, 'a does not.
            i = if at(i + 1) == '\\' {
                (i + 3..chars.len()).find(|&j| at(j) == '\'').unwrap_or(chars.len()) + 1
            } else if at(i + 2) == '\'' {
                i + 3
            } else {
                i + 1
            };
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            tokens.push(chars[start..i].iter().collect());
        } else {
            let sign = if c == ':' && at(i + 1) == ':' { "::".to_owned() } else { c.to_string() };
            i += if sign == "::" { 2 } else { 1 };
            if !c.is_whitespace() {
                tokens.push(sign);
            }
        }
    }
    tokens
}

fn after_string(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Where the raw string that begins at `i` (`r"`, `r#"`, `br#"`) ends, if one does.
fn raw_string(chars: &[char], i: usize) -> Option<usize> {
    let before = i.checked_sub(1).map(|j| chars[j]);
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let mut j = i + usize::from(chars[i] == 'b');
    if chars.get(j) != Some(&'r') {
        return None;
    }
    j += 1;
    let hashes = chars[j..].iter().take_while(|c| **c == '#').count();
    if chars.get(j + hashes) != Some(&'"') {
        return None;
    }
    let closing: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let closing: Vec<char> = closing.chars().collect();
    let start = j + hashes + 1;
    (start..chars.len()).find(|&k| chars[k..].starts_with(&closing)).map(|k| k + closing.len())
}

/// Takes out every item under `#[cfg(test)]` and names the modules among them that lie in files of their own.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        if !tokens[at..].iter().map(String::as_str).take(MARK.len()).eq(MARK) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let (mut depth, mut word_before) = (0, "");
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                word if depth == 0 && word_before == "mod" && tokens.get(at).is_some_and(|t| t == ";") => modules.push(word.to_owned()),
                _ => {}
            }
            word_before = token;
        }
    }
    (kept, modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::parse(text).paths().iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn use_trees_and_inline_paths_are_seen() {
        assert_eq!(paths("pub use crate::{a, b::{self, c as d}, e::*};"), ["crate::a", "crate::b::self", "crate::b::c", "crate::e"]);
        assert_eq!(paths("fn f() -> crate::fs::Dir { ::std::env::var(x) }"), ["crate::fs::Dir", "std::env::var"]);
        assert_eq!(paths("println!(\"{}\", a != b); vec![super::super::x::y]"), ["println!", "vec!", "super::super::x::y"]);
    }

    #[test]
    fn comments_literals_and_tests_are_not() {
        let text = r##"
            //! crate::a::b
            /* crate::c /* nested */ crate::d::e */
            const A: &str = "crate::f::g \" crate::h"; const B: &str = r#"crate::i " crate::j"#; const C: char = '"'; const D: char = '\'';
            fn life<'a>(x: &'a str) -> &'a str { real::path(x) }
            #[cfg(test)] mod tests { fn x() { crate::k::l({}); } }
            #[cfg(test)] mod more;
            #[cfg(test)] use crate::m::n;
            fn last() { real::end() }
        "##;
        assert_eq!(paths(text), ["real::path", "real::end"]);
        assert_eq!(Source::parse(text).test_modules, ["more"]);
    }
}
