//! Templates as trees.

use super::lex::{self, Piece, Word};
use super::value::Val;
use crate::limits;
use std::collections::HashMap;
use std::rc::Rc;

/// A statement.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Out(Expr),
    Set { name: String, declare: bool, value: Expr },
    If { when: Cond, then: Vec<Node>, or: Vec<Node> },
    With { when: Cond, then: Vec<Node>, or: Vec<Node> },
    Range { vars: Vec<String>, over: Expr, body: Vec<Node>, or: Vec<Node> },
    Include { name: String, with: Expr },
}

/// What an `if` or `with` looks at, and the variable it may declare.
#[derive(Debug)]
pub(super) struct Cond {
    pub(super) var: Option<String>,
    pub(super) expr: Expr,
}

/// An expression.
#[derive(Debug)]
pub(super) enum Expr {
    Dot,
    Var(String),
    Lit(Val),
    Field(Box<Expr>, Vec<String>),
    Call(String, Vec<Expr>),
    /// Understood by nobody here: a method, a computed function.
    Unknown,
}

/// A file: its statements, and what it defines.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) body: Vec<Node>,
    pub(super) defines: HashMap<String, Rc<Vec<Node>>>,
}

/// Parses a file; `None` for what is no template.
pub(super) fn parse(source: &str) -> Option<Parsed> {
    let mut reader = Reader { pieces: lex::pieces(source)?.into_iter(), defines: HashMap::new(), depth: 0 };
    let (body, end) = reader.block()?;
    matches!(end, Close::File).then_some(Parsed { body, defines: reader.defines })
}

struct Reader<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    defines: HashMap<String, Rc<Vec<Node>>>,
    depth: usize,
}

/// What closed a block.
enum Close {
    File,
    End,
    Else,
    ElseIf(Vec<Word>),
    ElseWith(Vec<Word>),
}

impl Reader<'_> {
    fn block(&mut self) -> Option<(Vec<Node>, Close)> {
        self.depth += 1;
        if self.depth > limits::TEMPLATE_DEPTH {
            return None;
        }
        let mut nodes = Vec::new();
        let end = loop {
            match self.pieces.next() {
                None => break Close::File,
                Some(Piece::Text(text)) => nodes.push(Node::Text(text.to_owned())),
                Some(Piece::Action(action)) => {
                    if let Some(end) = self.action(action, &mut nodes)? {
                        break end;
                    }
                }
            }
        };
        self.depth -= 1;
        Some((nodes, end))
    }

    fn action(&mut self, action: &str, nodes: &mut Vec<Node>) -> Option<Option<Close>> {
        let words = lex::words(action)?;
        let Some(Word::Name(first)) = words.first() else {
            nodes.push(statement(&words)?);
            return Some(None);
        };
        let rest = words.get(1..).unwrap_or_default();
        match first.as_str() {
            "end" => return Some(Some(Close::End)),
            "else" => {
                let rest: Vec<Word> = rest.iter().skip_while(|w| **w == Word::Space).cloned().collect();
                return Some(Some(match rest.split_first() {
                    None => Close::Else,
                    Some((Word::Name(word), rest)) if word == "if" => Close::ElseIf(rest.to_vec()),
                    Some((Word::Name(word), rest)) if word == "with" => Close::ElseWith(rest.to_vec()),
                    Some(_) => return None,
                }));
            }
            "if" | "with" => {
                let node = self.branch(first == "if", rest)?;
                nodes.push(node);
            }
            "range" => {
                let (vars, rest) = declared(rest);
                let over = pipeline(rest)?;
                let (body, end) = self.block()?;
                let or = self.otherwise(end)?;
                nodes.push(Node::Range { vars, over, body, or });
            }
            "define" | "block" => self.define(first == "block", rest, nodes)?,
            "template" => {
                let (name, with) = named(rest)?;
                nodes.push(Node::Include { name, with });
            }
            "break" | "continue" => {}
            _ => nodes.push(statement(&words)?),
        }
        Some(None)
    }

    fn branch(&mut self, is_if: bool, words: &[Word]) -> Option<Node> {
        // `else if` without end nests as deep as it is long.
        self.depth += 1;
        let (vars, rest) = declared(words);
        let when = Cond { var: vars.into_iter().next(), expr: pipeline(rest)? };
        let (then, end) = self.block()?;
        let or = self.otherwise(end)?;
        self.depth -= 1;
        Some(if is_if { Node::If { when, then, or } } else { Node::With { when, then, or } })
    }

    fn otherwise(&mut self, end: Close) -> Option<Vec<Node>> {
        match end {
            Close::File => None,
            Close::End => Some(Vec::new()),
            Close::ElseIf(words) => Some(vec![self.branch(true, &words)?]),
            Close::ElseWith(words) => Some(vec![self.branch(false, &words)?]),
            Close::Else => match self.block()? {
                (nodes, Close::End) => Some(nodes),
                _ => None,
            },
        }
    }

    fn define(&mut self, used: bool, words: &[Word], nodes: &mut Vec<Node>) -> Option<()> {
        let (name, with) = named(words)?;
        let (body, Close::End) = self.block()? else { return None };
        self.defines.insert(name.clone(), Rc::new(body));
        if used {
            nodes.push(Node::Include { name, with });
        }
        Some(())
    }
}

/// `"name"` and the pipeline behind it.
fn named(words: &[Word]) -> Option<(String, Expr)> {
    let words: &[Word] = words.strip_prefix(&[Word::Space]).unwrap_or(words);
    let (Word::Text(name), rest) = words.split_first()? else { return None };
    let with = if rest.iter().all(|w| *w == Word::Space) { Expr::Lit(Val::Null) } else { pipeline(rest)? };
    Some((name.clone(), with))
}

/// `$a, $b :=` in front of a pipeline.
fn declared(words: &[Word]) -> (Vec<String>, &[Word]) {
    let Some(at) = words.iter().position(|w| matches!(w, Word::Declare | Word::Assign)) else { return (Vec::new(), words) };
    let (names, rest) = words.split_at(at);
    let names = names.iter().filter_map(|w| if let Word::Var(name) = w { Some(name.clone()) } else { None });
    (names.collect(), rest.get(1..).unwrap_or_default())
}

fn statement(words: &[Word]) -> Option<Node> {
    let declare = words.contains(&Word::Declare);
    let (mut vars, rest) = declared(words);
    let value = pipeline(rest)?;
    Some(match vars.pop() {
        Some(name) => Node::Set { name, declare, value },
        None => Node::Out(value),
    })
}

/// Reads a pipeline to its end.
fn pipeline(words: &[Word]) -> Option<Expr> {
    let mut words = Words { words, at: 0, depth: 0, pipes: 0 };
    let expr = words.pipeline()?;
    words.spaces();
    (words.at == words.words.len()).then_some(expr)
}

struct Words<'a> {
    words: &'a [Word],
    at: usize,
    depth: usize,
    /// All of the action's: each is a level of the tree.
    pipes: usize,
}

impl Words<'_> {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    fn spaces(&mut self) {
        while self.peek() == Some(&Word::Space) {
            self.at += 1;
        }
    }

    fn pipeline(&mut self) -> Option<Expr> {
        self.depth += 1;
        if self.depth > limits::TEMPLATE_DEPTH {
            return None;
        }
        let mut value = self.command(None)?;
        while self.peek() == Some(&Word::Pipe) {
            self.pipes += 1;
            if self.pipes > limits::TEMPLATE_DEPTH {
                return None;
            }
            self.at += 1;
            value = self.command(Some(value))?;
        }
        self.depth -= 1;
        Some(value)
    }

    /// A function with its arguments, or one operand; `last` is what was piped in.
    fn command(&mut self, last: Option<Expr>) -> Option<Expr> {
        self.spaces();
        let function = match self.peek()? {
            Word::Name(name) if !matches!(name.as_str(), "true" | "false" | "nil") => {
                let name = name.clone();
                self.at += 1;
                Some(name)
            }
            _ => None,
        };
        let head = if function.is_none() { Some(self.operand()?) } else { None };
        let mut args = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                None | Some(Word::Pipe | Word::Close) => break,
                Some(_) => args.push(self.operand()?),
            }
        }
        args.extend(last);
        Some(match (function, head) {
            (Some(name), _) => Expr::Call(name, args),
            (None, Some(head)) if args.is_empty() => head,
            (None, _) => Expr::Unknown,
        })
    }

    /// One argument with the fields that hang on it.
    fn operand(&mut self) -> Option<Expr> {
        let word = self.peek()?.clone();
        self.at += 1;
        let mut fields = Vec::new();
        let base = match word {
            Word::Dot => Expr::Dot,
            Word::Field(name) => {
                fields.push(name);
                Expr::Dot
            }
            Word::Var(name) => Expr::Var(name),
            Word::Text(text) => Expr::Lit(Val::text(text)),
            Word::Int(n) => Expr::Lit(Val::Int(n)),
            Word::Float(n) => Expr::Lit(Val::Float(n)),
            Word::Name(name) => match name.as_str() {
                "true" => Expr::Lit(Val::Bool(true)),
                "false" => Expr::Lit(Val::Bool(false)),
                "nil" => Expr::Lit(Val::Null),
                // A function without arguments, as in `list` or `dict`.
                _ => Expr::Call(name, Vec::new()),
            },
            Word::Open => {
                let inner = self.pipeline()?;
                self.spaces();
                if self.peek() != Some(&Word::Close) {
                    return None;
                }
                self.at += 1;
                inner
            }
            Word::Pipe | Word::Close | Word::Assign | Word::Declare | Word::Comma | Word::Space => return None,
        };
        while let Some(Word::Field(name)) = self.peek() {
            fields.push(name.clone());
            self.at += 1;
        }
        Some(if fields.is_empty() { base } else { Expr::Field(Box::new(base), fields) })
    }
}
