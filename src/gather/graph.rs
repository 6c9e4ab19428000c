//! The update graph, as the image the update service takes it from.

use super::pinned::pinned;
use super::{GatherError, Gathered, World};
use crate::format::Role;
use crate::image_set::Source;
use crate::limits;
use crate::oci::Platform;
use crate::openshift::graph_image;
use crate::pack::{Ask, Made};
use crate::web::Get;

/// Where the update service looks for it.
const REPOSITORY: &str = "openshift/graph-image";
/// The tag it asks for.
const TAG: &str = "latest";

/// Builds the graph image into the workspace and asks for it: for these platforms, or for all that the base image has.
///
/// # Errors
/// When the data or the base image cannot be had, or are not what they should be.
pub fn graph_image(world: &World<'_>, platforms: &[Platform]) -> Result<Gathered, GatherError> {
    let data = data(world)?;
    let base = Source::parse(&world.releases.graph_base)?;
    let origin = world.origins.open(&base)?;
    let (digest, _) = origin.resolve(&base)?;
    let stopped = || world.progress.cancelled();
    let made = graph_image::build(&data, digest, origin.as_ref(), world.workspace, platforms, 0, &stopped, world.progress);
    let ask = Ask {
        target_repo: Some(REPOSITORY.into()),
        target_tag: Some(TAG.into()),
        platforms: platforms.to_vec(),
        role: Role::Graph,
        made: Some(Made { digest: made?.digest, base: Some(pinned(&base, digest)) }),
        ..Ask::of(Source::Made("graph-image".into()))
    };
    Ok(Gathered { asks: vec![ask], ..Gathered::default() })
}

/// The data from the file the person named, else from its address.
fn data(world: &World<'_>) -> Result<Vec<u8>, GatherError> {
    if let Some(path) = &world.releases.graph_data_file {
        return Ok(crate::fs::File::open_path(path)?.read_whole(limits::GRAPH_DATA_BYTES)?);
    }
    let get = Get { url: &world.releases.graph_data_url, accept: "application/gzip", limit: limits::GRAPH_DATA_BYTES, login: false };
    Ok(world.web.get(&get)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Outside;
    use super::*;
    use crate::openshift::files::testing::{E, archive, gzip, image, index};
    use crate::web::WebError;

    fn data() -> Vec<u8> {
        gzip(&archive(&[E::F("version", "1"), E::F("channels/stable-4.16.yaml", "name: x")]))
    }

    /// A world whose registry has a base image.
    fn outside() -> Outside {
        let outside = Outside::new();
        let base = ["amd64", "arm64"].map(|arch| image(&outside.far, arch, serde_json::json!({}), &[]));
        outside.far.tag("ubi:latest", &index(&outside.far, &base)).unwrap();
        outside
    }

    #[test]
    fn the_graph_image_is_asked_for_by_the_name_the_update_service_knows() {
        let mut outside = outside();
        outside.documents.insert("https://graph.test/data".into(), Ok(data()));
        let gathered = graph_image(&outside.world(), &[]).unwrap();
        let ask = &gathered.asks[0];
        assert_eq!(
            (ask.target_repo.as_deref(), ask.target_tag.as_deref(), ask.role),
            (Some("openshift/graph-image"), Some("latest"), Role::Graph)
        );
        let base = outside.far.resolve(Some("ubi:latest")).unwrap().digest;
        assert_eq!(ask.made.as_ref().unwrap().base.as_ref().unwrap().to_string(), format!("registry.test/ubi@{base}"));
        let (plan, failures) = outside.plan(gathered);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!((plan.images.len(), plan.images[0].source.as_str()), (1, "made:graph-image"));
        // The same from a file, for one platform.
        let file = outside.temp.path().join("graph.tar.gz");
        std::fs::write(&file, data()).unwrap();
        outside.documents.clear();
        let mut world = outside.world();
        world.releases.graph_data_file = Some(file);
        let one = graph_image(&world, &["linux/arm64".parse().unwrap()]).unwrap();
        assert_ne!(one.asks[0].made, Some(Made { digest: base, base: None }));
        assert!(outside.plan(one).1.is_empty());
    }

    #[test]
    fn what_cannot_be_had_is_told() {
        let mut outside = outside();
        assert!(matches!(graph_image(&outside.world(), &[]), Err(GatherError::Web(WebError::NotFound(_)))));
        outside.documents.insert("https://graph.test/data".into(), Ok(b"<html>".to_vec()));
        assert!(matches!(graph_image(&outside.world(), &[]), Err(GatherError::GraphImage(_))));
        outside.documents.insert("https://graph.test/data".into(), Ok(data()));
        let mut world = outside.world();
        world.releases.graph_base = "registry.test/UBI:latest".into();
        assert!(matches!(graph_image(&world, &[]), Err(GatherError::Source(_))));
        world.releases.graph_base = "registry.test/other:latest".into();
        assert!(matches!(graph_image(&world, &[]), Err(GatherError::Origin(_))));
    }
}
