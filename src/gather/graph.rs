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
        return Ok(crate::fs::read_user_file(path)?);
    }
    let get = Get { url: &world.releases.graph_data_url, accept: "application/gzip", limit: limits::GRAPH_DATA_BYTES, login: false };
    Ok(world.web.get(&get)?)
}
