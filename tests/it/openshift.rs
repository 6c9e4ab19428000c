//! x
use crate::support::openshift::World;

#[test]
fn smoke() {
    let t = std::time::Instant::now();
    let Some(world) = World::shared() else { return };
    eprintln!("{:?}", t.elapsed());
    world.whole_catalog();
    eprintln!("{:?}", t.elapsed());
}
