//! Which requirements apply to an image (`containers-policy.json(5)`, "Supported transports and their scopes").

use super::document::{Policy, Requirement};
use super::judge::{FindFolder, Lying};
use crate::image_set::Source;
use crate::text::shown;
use std::path::{Path, PathBuf};

/// Colons that the name of a layout and of its image may have together: each may be the one between them.
const COLONS: usize = 16;

impl Policy {
    /// The requirements of the most specific scope an image lies in, and that scope for people. A layout lies where `folder` says; where
    /// it may lie at several places, the policy must say the same of all.
    ///
    /// # Errors
    /// For people: where nobody knows in which scope of several a layout lies.
    pub(super) fn of(&self, source: &Source, folder: &FindFolder<'_>) -> Result<(String, &[Requirement]), String> {
        let Some(known) = self.transports.get(transport(source)) else { return Ok(self.within(source, &[])) };
        let mut found = scopes(source, folder).into_iter().map(|scopes| self.within(source, &scopes));
        match found.next() {
            Some(first) if found.all(|other| std::ptr::eq(other.1, first.1)) => Ok(first),
            None if known.keys().all(String::is_empty) => Ok(self.within(source, &[])),
            _ => Err(format!("the policy has scopes for folders, and {} does not say in which it lies", shown(&source.to_string()))),
        }
    }

    /// The requirements of the first of these scopes that the policy has, and that scope for people; else the default of the transport,
    /// else the default.
    fn within(&self, source: &Source, scopes: &[String]) -> (String, &[Requirement]) {
        let transport = transport(source);
        let known = self.transports.get(transport);
        let found = scopes.iter().map(String::as_str).chain([""]).find_map(|scope| Some((scope, known?.get(scope)?)));
        match found {
            Some((scope, requirements)) => (format!("transports {transport} {scope:?}"), requirements),
            None => ("default".into(), &self.default),
        }
    }
}

fn transport(source: &Source) -> &'static str {
    match source {
        Source::Registry(_) => "docker",
        Source::Layout { .. } => "oci",
        Source::Made(_) => "sealift-made",
    }
}

/// The scopes of a source, the most specific first, for each place it may be at; none where it does not say them.
fn scopes(source: &Source, folder: &FindFolder<'_>) -> Vec<Vec<String>> {
    match source {
        Source::Registry(reference) => vec![reference.scopes()],
        Source::Layout { .. } => folder(source).iter().map(layout).collect(),
        Source::Made(_) => vec![Vec::new()],
    }
}

/// The path with the image's name, the path, and the folders above.
fn layout(lying: &Lying) -> Vec<String> {
    let Lying { folder, name } = lying;
    let named = name.as_ref().map(|name| format!("{folder}:{name}"));
    let above = Path::new(folder).ancestors().map(|path| path.display().to_string()).filter(|path| !path.is_empty() && path != "/");
    named.into_iter().chain(above).collect()
}

/// Where a layout of another machine may lie, by its name alone: an absolute path as it is written, without doubled and closing slashes.
/// Nowhere for one that depends on where it is read (`images`, `/srv/../images`). Where folder or image have colons in their names
/// (`/srv/images:team/app:v1`), each may be the one between them, as [`Source::settled`] tries them.
pub fn plain_folders(source: &Source) -> Vec<Lying> {
    let Source::Layout { dir, tag, digest: _ } = source else { return Vec::new() };
    if !dir.starts_with('/') || dir.split('/').any(|part| matches!(part, "." | "..")) || dir.matches(':').count() > COLONS {
        return Vec::new();
    }
    let at = |folder: &str, name: Option<&str>| Lying {
        folder: Path::new(folder).components().collect::<PathBuf>().display().to_string(),
        name: name.map(str::to_owned),
    };
    let mut all = vec![at(dir, tag.as_deref())];
    if dir.contains(':') {
        let whole = tag.as_ref().map_or_else(|| dir.clone(), |tag| format!("{dir}:{tag}"));
        all.push(at(&whole, None));
        let splits = whole.match_indices(':').filter_map(|(colon, _)| Some((whole.get(..colon)?, whole.get(colon + 1..)?)));
        all.extend(splits.map(|(folder, name)| at(folder, Some(name).filter(|name| !name.is_empty()))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(text: &str) -> Vec<Vec<String>> {
        scopes(&Source::parse(text).unwrap(), &plain_folders)
    }

    #[test]
    fn from_the_image_up_to_the_domain() {
        assert_eq!(
            of("reg.example.com:5000/a/b:1"),
            [[
                "reg.example.com:5000/a/b:1",
                "reg.example.com:5000/a/b",
                "reg.example.com:5000/a",
                "reg.example.com:5000",
                "*.example.com",
                "*.com"
            ]]
        );
        assert_eq!(of("nginx:1"), [["docker.io/library/nginx:1", "docker.io/library/nginx", "docker.io/library", "docker.io", "*.io"]]);
        assert_eq!(of("oci:/srv//images/:v1"), [["/srv/images:v1", "/srv/images", "/srv"]]);
        let many = format!("oci:/srv/images{}", ":a".repeat(COLONS + 2));
        for vague in ["oci:images", "oci:./images", "oci:/srv/../images", "oci:/srv/./images:a/b:1", &many] {
            assert_eq!(of(vague), Vec::<Vec<String>>::new(), "{vague}");
        }
    }

    fn found(scopes: Value, source: &str, folder: &FindFolder<'_>) -> Result<String, String> {
        let document = json!({"default": [{"type": "reject"}], "transports": {"oci": scopes}});
        let policy = Policy::parse(document.to_string().as_bytes(), &|_| Err("none".to_owned())).unwrap();
        policy.of(&Source::parse(source).unwrap(), folder).map(|(scope, _)| scope)
    }

    /// Whether `team/app:v1` is in `/srv/images`, or `v1` in a folder `/srv/images:team/app`: only where the policy says something else of the
    /// two does it matter.
    #[test]
    fn a_colon_in_a_name_matters_only_where_the_policy_distinguishes() {
        let anything = || json!([{"type": "insecureAcceptAnything"}]);
        let image = "oci:/srv/images:team/app:v1";
        for (scopes, scope) in [
            (json!({"/srv": anything()}), "transports oci \"/srv\""),
            (json!({"/srv": anything(), "/other": anything()}), "transports oci \"/srv\""),
            (json!({"/srv/images:team/app:v1": anything(), "/srv": [{"type": "reject"}]}), "transports oci \"/srv/images:team/app:v1\""),
            (json!({"/other": anything(), "": anything()}), "transports oci \"\""),
            (json!({"/other": anything()}), "default"),
        ] {
            assert_eq!(found(scopes.clone(), image, &plain_folders).as_deref(), Ok(scope), "{scopes}");
        }
        for scopes in [json!({"/srv/images": anything()}), json!({"/srv/images": anything(), "/srv": anything()})] {
            assert!(found(scopes, image, &plain_folders).unwrap_err().contains("does not say in which it lies"));
        }
        // Who sees the folders knows.
        let known = |_: &Source| vec![Lying { folder: "/srv/images".into(), name: Some("team/app:v1".into()) }];
        assert_eq!(found(json!({"/srv/images": anything()}), image, &known).as_deref(), Ok("transports oci \"/srv/images\""));
    }
}
