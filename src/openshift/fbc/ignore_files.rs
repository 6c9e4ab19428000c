//! `.indexignore`: files of a catalog's tree that are no part of it, in gitignore's grammar.

use super::FbcError;
use ::ignore::Match;
use ::ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::BTreeMap;

/// What such a file is called.
pub(super) const NAME: &str = ".indexignore";

/// All of a tree, by the folder they lie in (`""` for the root, else with a `/` at the end).
#[derive(Default)]
pub(super) struct Ignores(BTreeMap<String, Gitignore>);

impl Ignores {
    /// Takes one in; `file` is its path below the root.
    pub(super) fn add(&mut self, file: &str, text: &str) -> Result<(), FbcError> {
        let fail = |why: String| FbcError::Ignore { file: file.to_owned(), why };
        let mut builder = GitignoreBuilder::new("");
        for (number, line) in text.lines().enumerate() {
            builder.add_line(None, line).map_err(|e| fail(format!("line {}: {e}", number + 1)))?;
        }
        let rules = builder.build().map_err(|e| fail(e.to_string()))?;
        self.0.insert(file.strip_suffix(NAME).unwrap_or(file).to_owned(), rules);
        Ok(())
    }

    /// True for a file that is no part of the catalog. What lies in an ignored folder is ignored, whatever else is said of it.
    pub(super) fn ignores(&self, file: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let folders = file.match_indices('/').filter_map(|(end, _)| file.get(..end));
        folders.map(|folder| (folder, true)).chain([(file, false)]).any(|(path, is_dir)| self.judge(path, is_dir))
    }

    /// The deepest file that has a rule for this path decides.
    fn judge(&self, path: &str, is_dir: bool) -> bool {
        let parents = path.rmatch_indices('/').filter_map(|(at, _)| path.get(..=at)).chain([""]);
        for parent in parents {
            let (Some(rules), Some(rest)) = (self.0.get(parent), path.get(parent.len()..)) else { continue };
            match rules.matched(rest, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_gits() {
        let mut ignores = Ignores::default();
        ignores.add(".indexignore", "# words\n*.md\n/top.yaml\nbuild/\n!a/keep.md\n**/deep/x.json\n").unwrap();
        ignores.add("a/.indexignore", "!README.md\n/only.yaml\n").unwrap();
        for ignored in ["x.md", "b/c/x.md", "top.yaml", "build/x.yaml", "b/build/a/keep.md", "q/deep/x.json", "a/only.yaml", "a/x.md"] {
            assert!(ignores.ignores(ignored), "{ignored}");
        }
        for kept in ["b/top.yaml", "build", "a/keep.md", "a/README.md", "a/b/README.md", "a/b/only.yaml", "x.yaml"] {
            assert!(!ignores.ignores(kept), "{kept}");
        }
        assert!(ignores.add("b/.indexignore", "a[\n").is_err() && !Ignores::default().ignores("x"));
    }
}
