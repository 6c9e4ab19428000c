//! What the user asks for: ImageSets and delete sets, and the YAML below them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::image_set::{DeleteSet, ImageSet};
use sealift::yaml::{self, Bounds};

fuzz_target!(init: sealift_fuzz::seeds::write("image_set"), |data: &[u8]| {
    let _ = ImageSet::parse(data);
    let _ = DeleteSet::parse(data);
    if let Ok(document) = yaml::parse(data, Bounds { values: 10_000, text: 1 << 20, brackets: 1000, any_case: true }) {
        document.line_of(data, document.root.place);
    }
});
