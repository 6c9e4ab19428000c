//! Which requirements apply to an image (`containers-policy.json(5)`, "Supported transports and their scopes").

use super::document::{Policy, Requirement};
use crate::image_set::Source;
use std::path::Path;

impl Policy {
    /// The requirements of the most specific scope an image lies in, and that scope for people.
    pub(super) fn of(&self, source: &Source) -> (String, &[Requirement]) {
        let (transport, scopes) = scopes(source);
        if let Some(known) = self.transports.get(transport) {
            for scope in scopes.iter().map(String::as_str).chain([""]) {
                if let Some(found) = known.get(scope) {
                    return (format!("transports {transport} {scope:?}"), found);
                }
            }
        }
        ("default".into(), &self.default)
    }
}

/// The transport of a source, and its scopes, the most specific first.
fn scopes(source: &Source) -> (&'static str, Vec<String>) {
    match source {
        Source::Registry(reference) => ("docker", reference.scopes()),
        Source::Layout { dir, tag, .. } => ("oci", layout(dir, tag.as_deref())),
        Source::Made(_) => ("sealift-made", Vec::new()),
    }
}

/// The path with the image's name, the path, and the folders above.
fn layout(dir: &str, tag: Option<&str>) -> Vec<String> {
    let named = tag.map(|tag| format!("{dir}:{tag}"));
    let above = Path::new(dir).ancestors().map(|path| path.display().to_string()).filter(|path| !path.is_empty() && path != "/");
    named.into_iter().chain(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_image_up_to_the_domain() {
        let of = |text: &str| scopes(&Source::parse(text).unwrap()).1;
        assert_eq!(
            of("reg.example.com:5000/a/b:1"),
            [
                "reg.example.com:5000/a/b:1",
                "reg.example.com:5000/a/b",
                "reg.example.com:5000/a",
                "reg.example.com:5000",
                "*.example.com",
                "*.com"
            ]
        );
        assert_eq!(of("nginx:1"), ["docker.io/library/nginx:1", "docker.io/library/nginx", "docker.io/library", "docker.io", "*.io"]);
        assert_eq!(of("oci:/srv/images:v1"), ["/srv/images:v1", "/srv/images", "/srv"]);
    }
}
