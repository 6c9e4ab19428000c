//! Which requirements apply to an image (`containers-policy.json(5)`, "Supported transports and their scopes").

use super::document::{Policy, Requirement};
use super::judge::FindFolder;
use crate::image_set::Source;
use crate::text::shown;
use std::path::{Path, PathBuf};

impl Policy {
    /// The requirements of the most specific scope an image lies in, and that scope for people. A layout lies where `folder` says.
    ///
    /// # Errors
    /// For people: where nobody knows in which scope of several a layout lies.
    pub(super) fn of(&self, source: &Source, folder: &FindFolder<'_>) -> Result<(String, &[Requirement]), String> {
        let transport = transport(source);
        if let Some(known) = self.transports.get(transport) {
            let scopes = match scopes(source, folder) {
                Some(scopes) => scopes,
                None if known.keys().all(String::is_empty) => Vec::new(),
                None => {
                    return Err(format!(
                        "the policy has scopes for folders, and {} does not say in which it lies",
                        shown(&source.to_string())
                    ));
                }
            };
            for scope in scopes.iter().map(String::as_str).chain([""]) {
                if let Some(found) = known.get(scope) {
                    return Ok((format!("transports {transport} {scope:?}"), found));
                }
            }
        }
        Ok(("default".into(), &self.default))
    }
}

fn transport(source: &Source) -> &'static str {
    match source {
        Source::Registry(_) => "docker",
        Source::Layout { .. } => "oci",
        Source::Made(_) => "sealift-made",
    }
}

/// The scopes of a source, the most specific first; `None` where it does not say them.
fn scopes(source: &Source, folder: &FindFolder<'_>) -> Option<Vec<String>> {
    match source {
        Source::Registry(reference) => Some(reference.scopes()),
        Source::Layout { dir, tag, .. } => folder(dir).map(|dir| layout(&dir, tag.as_deref())),
        Source::Made(_) => Some(Vec::new()),
    }
}

/// The path with the image's name, the path, and the folders above.
fn layout(dir: &str, tag: Option<&str>) -> Vec<String> {
    let named = tag.map(|tag| format!("{dir}:{tag}"));
    let above = Path::new(dir).ancestors().map(|path| path.display().to_string()).filter(|path| !path.is_empty() && path != "/");
    named.into_iter().chain(above).collect()
}

/// An absolute path as it is written, without doubled and closing slashes; `None` for one that depends on where it is read (`images`,
/// `/srv/../images`), or on which folders there are (`/srv/images:team/app`: what follows the colon may be the image's name). What
/// there is to say of a folder of another machine.
pub fn plain_folder(dir: &str) -> Option<String> {
    let whole = dir.starts_with('/') && !dir.contains(':') && !dir.split('/').any(|part| matches!(part, "." | ".."));
    whole.then(|| Path::new(dir).components().collect::<PathBuf>().display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_image_up_to_the_domain() {
        let of = |text: &str| scopes(&Source::parse(text).unwrap(), &plain_folder);
        assert_eq!(
            of("reg.example.com:5000/a/b:1").unwrap(),
            [
                "reg.example.com:5000/a/b:1",
                "reg.example.com:5000/a/b",
                "reg.example.com:5000/a",
                "reg.example.com:5000",
                "*.example.com",
                "*.com"
            ]
        );
        assert_eq!(
            of("nginx:1").unwrap(),
            ["docker.io/library/nginx:1", "docker.io/library/nginx", "docker.io/library", "docker.io", "*.io"]
        );
        assert_eq!(of("oci:/srv//images/:v1").unwrap(), ["/srv/images:v1", "/srv/images", "/srv"]);
        for vague in [
            "oci:/srv/images:team/app:v1",
            "oci:/srv/images:team/app",
            "oci:images",
            "oci:./images",
            "oci:/srv/../images",
            "oci:/srv/./images",
        ] {
            assert_eq!(of(vague), None, "{vague}");
        }
    }
}
