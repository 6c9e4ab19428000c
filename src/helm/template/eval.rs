//! Walking a template with values.

use super::functions;
use super::parse::{self, Expr, Node};
use super::value::{UNKNOWN, Val};
use crate::limits;
use std::collections::HashMap;
use std::rc::Rc;

/// All templates of a chart and its sub-charts: what one defines, all may include.
#[derive(Default)]
pub(in crate::helm) struct Library {
    defines: HashMap<String, Rc<Vec<Node>>>,
}

/// What a file became.
#[derive(Debug, Default)]
pub(in crate::helm) struct Output {
    /// With [`UNKNOWN`] where something was not understood.
    pub(in crate::helm) text: String,
}

impl Library {
    /// Adds a file: what it defines replaces what was defined before under that name. Gives back what it renders by itself;
    /// `None` for what is no template.
    pub(in crate::helm) fn add(&mut self, source: &str) -> Option<Body> {
        let parsed = parse::parse(source)?;
        self.defines.extend(parsed.defines);
        Some(Body(parsed.body))
    }
}

/// A parsed file without its definitions.
pub(in crate::helm) struct Body(Vec<Node>);

/// One chart's rendering: what is left of its ceilings, and where it is.
pub(in crate::helm) struct Context<'l> {
    library: &'l Library,
    steps: usize,
    bytes: u64,
    depth: usize,
    /// Inside of ways of which only one is taken.
    unsure: usize,
    vars: Vec<(String, Val)>,
    root: Val,
    /// True once a ceiling was reached: what follows is missing.
    pub(in crate::helm) gave_up: bool,
}

impl<'l> Context<'l> {
    pub(in crate::helm) fn new(library: &'l Library) -> Context<'l> {
        let (steps, bytes) = (limits::TEMPLATE_STEPS, limits::RENDERED_BYTES);
        Context { library, steps, bytes, depth: 0, unsure: 0, vars: Vec::new(), root: Val::Null, gave_up: false }
    }

    /// Walks one file with `root` as `.` and `$`.
    pub(in crate::helm) fn run(&mut self, body: &Body, root: Val) -> Output {
        self.vars.clear();
        (self.depth, self.unsure) = (0, 0);
        self.root = root.clone();
        let mut text = String::new();
        self.nodes(&body.0, &root, &mut text);
        Output { text }
    }

    /// Takes steps; false once there are none left.
    fn spend(&mut self, steps: usize) -> bool {
        match self.steps.checked_sub(steps) {
            Some(left) => self.steps = left,
            None => (self.steps, self.gave_up) = (0, true),
        }
        !self.gave_up
    }

    fn push(&mut self, text: &str, out: &mut String) {
        match self.bytes.checked_sub(text.len() as u64) {
            Some(left) if self.spend(1 + text.len() / 64) => {
                self.bytes = left;
                out.push_str(text);
            }
            _ => self.gave_up = true,
        }
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Val, out: &mut String) {
        if self.depth >= limits::TEMPLATE_DEPTH {
            out.push(UNKNOWN);
            return;
        }
        self.depth += 1;
        let scope = self.vars.len();
        for node in nodes {
            if !self.spend(1) {
                break;
            }
            self.node(node, dot, out);
        }
        self.vars.truncate(scope);
        self.depth -= 1;
    }

    fn node(&mut self, node: &Node, dot: &Val, out: &mut String) {
        match node {
            Node::Text(text) => self.push(text, out),
            Node::Out(expr) => {
                let text = self.expr(expr, dot).print();
                self.push(&text, out);
            }
            Node::Set { name, declare, value } => {
                let value = self.expr(value, dot);
                self.set(name, value, *declare);
            }
            Node::If { when, then, or } => {
                let scope = self.vars.len();
                let value = self.expr(&when.expr, dot);
                self.declare(&when.var, &value);
                match value.truth() {
                    Some(true) => self.nodes(then, dot, out),
                    Some(false) => self.nodes(or, dot, out),
                    None => self.both(&[(then, dot), (or, dot)], out),
                }
                self.vars.truncate(scope);
            }
            Node::With { when, then, or } => {
                let scope = self.vars.len();
                let value = self.expr(&when.expr, dot);
                self.declare(&when.var, &value);
                match value.truth() {
                    Some(true) => self.nodes(then, &value, out),
                    Some(false) => self.nodes(or, dot, out),
                    None => self.both(&[(then, &value), (or, dot)], out),
                }
                self.vars.truncate(scope);
            }
            Node::Range { vars, over, body, or } => self.range(vars, over, body, or, dot, out),
            Node::Include { name, with } => {
                let with = self.expr(with, dot);
                let text = self.include(name, with).print();
                self.push(&text, out);
            }
        }
    }

    fn declare(&mut self, var: &Option<String>, value: &Val) {
        if let Some(name) = var {
            self.vars.push((name.clone(), value.clone()));
        }
    }

    fn set(&mut self, name: &str, value: Val, declare: bool) {
        if declare {
            // A loop that declares without end is stopped by the steps; the scope is cut at its end.
            return self.vars.push((name.to_owned(), value));
        }
        let unsure = self.unsure > 0;
        if let Some((_, slot)) = self.var(name) {
            // On one of two ways it got another value: which it has afterwards is not known.
            *slot = if unsure { Val::Unknown } else { value };
        }
    }

    /// The innermost variable of a name. A template may declare very many and look for the first of them again and again.
    fn var(&mut self, name: &str) -> Option<&mut (String, Val)> {
        let at = self.vars.iter().rposition(|(known, _)| known == name);
        let passed = self.vars.len() - at.unwrap_or(0);
        if !self.spend(passed / 16) {
            return None;
        }
        at.and_then(|at| self.vars.get_mut(at))
    }

    /// All ways, since it is not known which. Whole lines of each stand one after another; of fragments of a line only one
    /// can be right, so the mark stands for them.
    fn both(&mut self, ways: &[(&[Node], &Val)], out: &mut String) {
        self.unsure += 1;
        for (nodes, dot) in ways {
            let mut text = String::new();
            self.nodes(nodes, dot, &mut text);
            if text.contains('\n') {
                out.push_str(&text);
            } else if !text.trim().is_empty() {
                out.push(UNKNOWN);
            }
        }
        self.unsure -= 1;
    }

    fn range(&mut self, vars: &[String], over: &Expr, body: &[Node], or: &[Node], dot: &Val, out: &mut String) {
        let pairs: Vec<(Val, Val)> = match self.expr(over, dot) {
            Val::List(list) => list.of.iter().enumerate().map(|(i, v)| (Val::Int(i64::try_from(i).unwrap_or(0)), v.clone())).collect(),
            Val::Map(map) => map.of.iter().map(|(k, v)| (Val::text(k), v.clone())).collect(),
            Val::Null => Vec::new(),
            // Once, for what its body names by itself.
            _ => {
                self.unsure += 1;
                self.one_round(vars, (Val::Unknown, Val::Unknown), body, out);
                self.unsure -= 1;
                return;
            }
        };
        if pairs.is_empty() {
            return self.nodes(or, dot, out);
        }
        for pair in pairs {
            if !self.spend(1) {
                return;
            }
            self.one_round(vars, pair, body, out);
        }
    }

    fn one_round(&mut self, vars: &[String], (key, value): (Val, Val), body: &[Node], out: &mut String) {
        let scope = self.vars.len();
        match vars {
            [] => {}
            [one] => self.vars.push((one.clone(), value.clone())),
            [first, second, ..] => {
                self.vars.push((first.clone(), key));
                self.vars.push((second.clone(), value.clone()));
            }
        }
        self.nodes(body, &value, out);
        self.vars.truncate(scope);
    }

    /// A named template as a text; its variables are its own.
    fn include(&mut self, name: &str, with: Val) -> Val {
        let Some(body) = self.library.defines.get(name).cloned() else { return Val::Unknown };
        self.apart(&body, with)
    }

    fn apart(&mut self, body: &[Node], with: Val) -> Val {
        let vars = std::mem::take(&mut self.vars);
        let root = std::mem::replace(&mut self.root, with.clone());
        let unsure = std::mem::take(&mut self.unsure);
        let mut text = String::new();
        self.nodes(body, &with, &mut text);
        (self.vars, self.root, self.unsure) = (vars, root, unsure);
        Val::text(text)
    }

    fn expr(&mut self, expr: &Expr, dot: &Val) -> Val {
        if self.depth >= limits::TEMPLATE_DEPTH || !self.spend(1) {
            return Val::Unknown;
        }
        self.depth += 1;
        let value = match expr {
            Expr::Dot => dot.clone(),
            Expr::Lit(value) => value.clone(),
            Expr::Var(name) if name.is_empty() => self.root.clone(),
            Expr::Var(name) => self.var(name).map_or(Val::Unknown, |(_, value)| value.clone()),
            Expr::Field(base, fields) => {
                let base = self.expr(base, dot);
                fields.iter().fold(base, |value, field| value.get(field))
            }
            Expr::Call(name, args) => self.call(name, args, dot),
            Expr::Unknown => Val::Unknown,
        };
        self.depth -= 1;
        value
    }

    fn call(&mut self, name: &str, args: &[Expr], dot: &Val) -> Val {
        match name {
            "and" | "or" => return self.and_or(name == "and", args, dot),
            _ => {}
        }
        let values: Vec<Val> = args.iter().map(|arg| self.expr(arg, dot)).collect();
        match (name, values.as_slice()) {
            ("include", [Val::Text(name), with]) => self.include(name, with.clone()),
            ("include", [Val::Text(name)]) => self.include(name, Val::Null),
            ("tpl", [Val::Text(text), with]) => self.tpl(text, with),
            ("set", [Val::Map(map), Val::Text(key), value]) => {
                let mut members = map.of.clone();
                self.spend(members.len());
                members.insert(key.to_string(), value.clone());
                let changed = Val::map(members);
                // Go changes the map itself; here the variable that was named gets the changed one.
                if let Some(Expr::Var(name)) = args.first() {
                    self.set(name, changed.clone(), false);
                }
                changed
            }
            _ => {
                let (value, cost) = functions::call(name, &values);
                self.spend(cost);
                value
            }
        }
    }

    fn and_or(&mut self, and: bool, args: &[Expr], dot: &Val) -> Val {
        let mut last = Val::Null;
        let mut unknown = false;
        for arg in args {
            last = self.expr(arg, dot);
            match last.truth() {
                // Decided, whatever the unknown ones are, as far as truth goes.
                Some(truth) if truth != and => return if unknown && !and { Val::Unknown } else { last },
                Some(_) => {}
                None => unknown = true,
            }
        }
        if unknown { Val::Unknown } else { last }
    }

    fn tpl(&mut self, text: &Rc<str>, with: &Val) -> Val {
        if !text.contains("{{") {
            return Val::Text(text.clone());
        }
        if !self.spend(1 + text.len() / 8) {
            return Val::Unknown;
        }
        match parse::parse(text) {
            Some(parsed) if parsed.defines.is_empty() => self.apart(&parsed.body, with.clone()),
            _ => Val::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rendered(values: serde_json::Value, source: &str) -> String {
        let mut library = Library::default();
        let body = library.add(source).expect("a template");
        Context::new(&library).run(&body, Val::of(&json!({"Values": values, "Chart": {"AppVersion": "1.2", "Name": "c"}}))).text
    }

    #[test]
    fn values_defaults_and_pipes() {
        let values = json!({"image": {"repository": "a/b", "tag": ""}, "n": 1.5});
        assert_eq!(
            rendered(values.clone(), r#""{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}""#),
            "\"a/b:1.2\""
        );
        assert_eq!(
            rendered(values.clone(), r#"{{ printf "%s:v%s" .Values.image.repository (default "9" .Values.none) | quote }}"#),
            "\"a/b:v9\""
        );
        assert_eq!(rendered(values, "{{ .Values.n }} {{ $x := .Values.image }}{{ $x.repository | upper }}"), "1.5 A/B");
    }

    #[test]
    fn definitions_scopes_and_conditions() {
        let source = r#"{{- define "img" -}}
{{- $tag := .tag | toString -}}
{{- if .digest -}}{{- $tag = printf "@%s" .digest -}}{{- end -}}
{{- printf "%s:%s" .repo $tag -}}
{{- end -}}
{{- with (merge .Values.a .Values.b) }}{{ include "img" . }}{{ end }}"#;
        assert_eq!(rendered(json!({"a": {"tag": 3}, "b": {"repo": "x", "tag": 4}}), source), "x:3");
        assert_eq!(rendered(json!({"l": ["p", "q"]}), "{{ range $i, $e := .Values.l }}{{ $i }}{{ $e }}{{ else }}none{{ end }}"), "0p1q");
        assert_eq!(rendered(json!({}), "{{ if .Values.x }}a{{ else if not .Values.y }}b{{ else }}c{{ end }}"), "b");
    }

    #[test]
    fn what_is_not_known_stays_unknown() {
        let u = UNKNOWN.to_string();
        assert_eq!(rendered(json!({}), "x:{{ getHostByName \"a\" }}"), format!("x:{u}"));
        assert_eq!(rendered(json!({}), "x:{{ if genCA }}a{{ else }}b{{ end }}"), format!("x:{u}{u}"), "neither a nor b nor ab");
        let both = rendered(json!({}), "{{ if .Capabilities.APIVersions.Has \"v1\" }}\nimage: a:1\n{{ else }}\nimage: b:1\n{{ end }}");
        assert!(both.contains("image: a:1\n") && both.contains("image: b:1\n"), "{both}");
        assert_eq!(rendered(json!({}), "{{ $t := \"a\" }}{{ if genCA }}{{ $t = \"b\" }}{{ end }}{{ $t }}"), u);
        assert_eq!(rendered(json!({}), "{{ genCA | trunc 0 }}{{ genCA | quote }}"), format!("{u}\"{u}\""));
    }

    #[test]
    fn a_template_that_includes_itself_ends() {
        let mut library = Library::default();
        let body = library.add("{{ define \"a\" }}x{{ include \"a\" . }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}").unwrap();
        let mut context = Context::new(&library);
        context.run(&body, Val::Null);
        assert!(context.gave_up);
    }

    #[test]
    fn very_many_variables_end() {
        let mut library = Library::default();
        let body = library.add(&format!("{{{{$b:=1}}}}{}", "{{$a:=$b}}".repeat(50_000))).unwrap();
        let mut context = Context::new(&library);
        context.run(&body, Val::Null);
        assert!(context.gave_up);
    }

    #[test]
    fn a_text_that_doubles_and_a_list_that_nests_end() {
        let range = "{{ range .Values.l }}";
        let values = json!({"l": vec![1; 5000]});
        let doubled = rendered(
            values.clone(),
            &format!("{{{{ $x := \"ab\" }}}}{range}{{{{ $x = printf \"%s%s\" $x $x }}}}{{{{ end }}}}{{{{ $x }}}}"),
        );
        assert!(doubled.len() <= limits::TEMPLATE_TEXT);
        rendered(values, &format!("{{{{ $x := list }}}}{range}{{{{ $x = list $x $x }}}}{{{{ end }}}}"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["{{", "{{ if }}", "{{ end }}", "{{ if .x }}", "{{ ( }}", "{{ a; }}", "{{ else }}", "{{ | }}"] {
            assert!(parse::parse(bad).is_none(), "{bad}");
        }
        assert!(parse::parse(&"{{ if .x }}".repeat(10_000)).is_none());
        assert!(parse::parse(&format!("{{{{ {} }}}}", "(".repeat(100_000))).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn no_input_panics(source in "(\\{\\{|\\}\\}|-| |if|end|range|with|define|include|else|tpl|printf|trunc|index|\"|`|\\$x|:=|=|\\.Values|\\.|\\(|\\)|\\||,|[0-9]|%s|%|é|\n|a){0,60}") {
            let mut library = Library::default();
            if let Some(body) = library.add(&source) {
                Context::new(&library).run(&body, Val::of(&json!({"Values": {"a": ["é", {"x": 1}], "l": "%s"}})));
            }
        }
    }
}
