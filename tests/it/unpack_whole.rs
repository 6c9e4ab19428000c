//! The whole way of a set into a target, seen with other people's tools.

use crate::support::inside::{ALL, Outside, text};
use crate::support::servers::{DockerRegistry, Options};

#[test]
fn the_line_of_the_manual_works_word_for_word() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, access_log: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let inside = outside.inside();
    let set = outside.set();
    let to = format!("localhost:{}/m", registry.addr.port());
    let ran = inside.run(&["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"]).exits(0);
    println!("{}", ran.told());
    assert_eq!(registry.inventory("m"), outside.inventory(&ALL));
}
