//! `WWW-Authenticate` (RFC 9110, section 11.6.1) as registries write it, and token scopes.

use std::collections::BTreeSet;
use std::fmt;

/// One challenge: a scheme and its parameters, names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub scheme: String,
    pub params: Vec<(String, String)>,
}

impl Challenge {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The scopes a Bearer challenge asks for.
    pub fn scopes(&self) -> Vec<Scope> {
        self.get("scope").unwrap_or_default().split_whitespace().filter_map(Scope::parse).collect()
    }
}

/// The challenge to follow: Bearer before Basic, as Quay and Artifactory offer either; others are not spoken.
pub(super) fn choose(challenges: &[Challenge]) -> Option<&Challenge> {
    let bearer = challenges.iter().find(|c| c.scheme == "bearer" && c.get("realm").is_some_and(|r| !r.is_empty()));
    bearer.or_else(|| challenges.iter().find(|c| c.scheme == "basic"))
}

/// Reads all challenges of all header lines. What cannot be read is left out: a broken header is no challenge.
pub(super) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for line in lines {
        let mut cursor = Cursor { rest: line };
        while cursor.element(&mut challenges) {}
    }
    challenges
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, also: char) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == also);
    }

    fn token(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    /// A quoted string with its escapes undone, or everything up to the next comma or blank.
    fn value(&mut self) -> String {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return value.to_owned();
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = quoted.get(i + 1..).unwrap_or_default();
                    return value;
                }
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        self.rest = "";
        value
    }

    /// Reads a scheme or a parameter; false at the end.
    fn element(&mut self, challenges: &mut Vec<Challenge>) -> bool {
        self.skip(',');
        let word = self.token().to_ascii_lowercase();
        if word.is_empty() {
            // Neither scheme nor parameter: go on behind the next comma.
            self.rest = self.rest.split_once(',').map_or("", |(_, rest)| rest);
            return !self.rest.is_empty();
        }
        let behind = self.rest.trim_start();
        match behind.strip_prefix('=').filter(|_| !challenges.is_empty()) {
            Some(rest) => {
                self.rest = rest.trim_start();
                let value = self.value();
                if let Some(last) = challenges.last_mut() {
                    last.params.push((word, value));
                }
            }
            None => challenges.push(Challenge { scheme: word, params: Vec::new() }),
        }
        !self.rest.is_empty()
    }
}

/// A token scope: `repository:NAME:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Scope {
    resource: String,
    actions: BTreeSet<String>,
}

impl Scope {
    pub fn repository(name: &str, actions: &[&str]) -> Scope {
        Scope { resource: format!("repository:{name}"), actions: actions.iter().map(|a| (*a).to_owned()).collect() }
    }

    fn parse(text: &str) -> Option<Scope> {
        let (resource, actions) = text.rsplit_once(':')?;
        let actions = actions.split(',').filter(|a| !a.is_empty()).map(str::to_owned).collect();
        (!resource.is_empty()).then(|| Scope { resource: resource.to_owned(), actions })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.resource)?;
        for (i, action) in self.actions.iter().enumerate() {
            write!(f, "{}{action}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// `wanted` with what the challenge adds, one scope per resource, the wanted ones first: some token services
/// read only the first.
pub(super) fn union(wanted: &[Scope], more: Vec<Scope>) -> Vec<Scope> {
    let mut all = wanted.to_vec();
    for scope in more {
        match all.iter_mut().find(|s| s.resource == scope.resource) {
            Some(known) => known.actions.extend(scope.actions),
            None => all.push(scope),
        }
    }
    all
}

/// True when a token for `held` serves all that is `wanted`.
pub(super) fn cover(held: &[Scope], wanted: &[Scope]) -> bool {
    wanted.iter().all(|w| held.iter().any(|h| h.resource == w.resource && h.actions.is_superset(&w.actions)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn several_challenges_in_one_line_and_in_several() {
        let found = parse([
            r#"Negotiate, Bearer realm="https://a.test/t?x=1",service="s p", scope="repository:a/b:pull,push repository:c:pull", BASIC realm=plain"#,
            r#"Digest nonce="a\"b,c""#,
        ]);
        let schemes: Vec<&str> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "bearer", "basic", "digest"]);
        let bearer = choose(&found).unwrap();
        assert_eq!(bearer.get("realm"), Some("https://a.test/t?x=1"));
        assert_eq!(bearer.get("service"), Some("s p"));
        let scopes: Vec<String> = bearer.scopes().iter().map(Scope::to_string).collect();
        assert_eq!(scopes, ["repository:a/b:pull,push", "repository:c:pull"]);
        assert_eq!(found[2].get("realm"), Some("plain"));
        assert_eq!(found[3].get("nonce"), Some("a\"b,c"));
    }

    #[test]
    fn broken_headers_are_no_challenge() {
        assert!(parse([""]).is_empty());
        assert!(choose(&parse(["Bearer", "Kerberos realm=x", ",,=,\"x"])).is_none());
        assert_eq!(choose(&parse(["Bearer realm=\"\", Basic"])).unwrap().scheme, "basic");
        assert_eq!(parse(["Bearer realm=\"open"])[0].get("realm"), Some("open"));
    }

    #[test]
    fn scopes_join_per_repository() {
        let wanted = [Scope::repository("a", &["pull"])];
        let joined = union(&wanted, vec![Scope::repository("b", &["pull"]), Scope::repository("a", &["push", "pull"])]);
        let text: Vec<String> = joined.iter().map(Scope::to_string).collect();
        assert_eq!(text, ["repository:a:pull,push", "repository:b:pull"]);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(line in "\\PC{0,80}") {
            let _ = parse([line.as_str()]);
        }

        #[test]
        fn quoted_values_survive(value in "[ -~]{0,40}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("Bearer realm=\"{quoted}\", a=b");
            let found = parse([line.as_str()]);
            prop_assert_eq!(found[0].get("realm"), Some(value.as_str()));
            prop_assert_eq!(found[0].get("a"), Some("b"));
        }
    }
}
