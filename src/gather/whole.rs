//! The parts of an ImageSet, worked out beside each other.

use super::{GatherError, Gathered, World, charts, graph_image, operators, releases};
use crate::image_set::{Helm, ImageSet};
use crate::text::bare_address;

/// Works out what an ImageSet asks for beside its plain images: releases, the graph image, operators, charts. The parts do not wait for
/// each other.
///
/// # Errors
/// What ends everything: the person asked to stop, or the workspace cannot be written. What concerns one release, catalog or chart
/// is among [`Gathered::failures`].
pub fn gather(set: &ImageSet, world: &World<'_>) -> Result<Gathered, GatherError> {
    let platform = set.platform.as_ref().filter(|platform| platform.asks_for_content());
    type Part<'p> = Box<dyn FnOnce() -> Result<Gathered, GatherError> + Send + 'p>;
    let mut parts: Vec<Part<'_>> = Vec::new();
    if let Some(platform) = platform {
        parts.push(Box::new(|| releases(platform, world)));
        if platform.graph {
            parts.push(Box::new(|| {
                graph_image(world, &platform.platforms).or_else(|error| match error {
                    GatherError::Interrupted => Err(GatherError::Interrupted),
                    error => Ok(Gathered { failures: vec![(graph_data(world), error)], ..Gathered::default() }),
                })
            }));
        }
    }
    if !set.operators.is_empty() {
        parts.push(Box::new(|| operators(world, &set.operators)));
    }
    if set.helm != Helm::default() {
        parts.push(Box::new(|| charts(&set.helm, world)));
    }
    let done: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(part)).collect();
        running.into_iter().map(|part| part.join().unwrap_or(Err(GatherError::Interrupted))).collect()
    });
    let mut gathered = Gathered::default();
    for part in done {
        gathered.add(part?);
    }
    Ok(gathered)
}

/// The graph data, as it is told of.
fn graph_data(world: &World<'_>) -> String {
    match &world.releases.graph_data_file {
        Some(file) => format!("graph data {}", file.display()),
        None => format!("graph data {}", bare_address(&world.releases.graph_data_url)),
    }
}
