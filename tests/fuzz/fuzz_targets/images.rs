//! Images as others made them: manifests, indexes, configurations, layouts on disk, layers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::digest::Digest;
use sealift::layout::Layout;
use sealift::oci::claim::Claim;
use sealift::oci::referrers::{Attached, ReferrerFilter, listed, merged, read_list};
use sealift::oci::{Descriptor, Manifest};
use sealift::openshift::files::{Blobs, Flow, ImageConfig, ImageFiles};
use sealift::openshift::release::Release;
use sealift::origin::MadeOrigin;
use sealift::progress::Silent;
use sealift_fuzz::{Input, document, folder, samples};
use serde_json::json;

fuzz_target!(init: sealift_fuzz::seeds::write("images"), |data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 8 {
        0 | 1 => manifest(&document(samples::manifest, &mut input)),
        2 => manifest(&document(samples::image_index, &mut input)),
        3 => drop(ImageConfig::parse(&document(|| serde_json::from_slice(samples::CONFIG).unwrap_or_default(), &mut input))),
        4 => {
            let sample = || {
                json!({"critical": {"identity": {"docker-reference": "a/b"}, "image": {"docker-manifest-digest": Digest::sha256(b"")},
                    "type": "cosign container image signature"}, "optional": {"creator": "c"}})
            };
            let _ = Claim::parse(&document(sample, &mut input));
        }
        5 => layout(&document(samples::image_index, &mut input)),
        _ => layer(input.0),
    }
});

fn manifest(bytes: &[u8]) {
    let _ = Manifest::parse_any_digest(bytes, Some("application/json"));
    let Ok(manifest) = Manifest::parse(bytes, None) else { return };
    let _ = (manifest.children().len(), manifest.blobs().count());
    let entry = listed(&manifest.media_type, bytes);
    Attached::parse(bytes);
    let _ = read_list(bytes);
    let _ = merged(Some(bytes), &[entry]);
}

/// A layout somebody else wrote.
fn layout(index: &[u8]) {
    let temp = folder();
    let Ok(layout) = Layout::create(temp.path()) else { return };
    let layout = layout.durable(false);
    for bytes in [samples::CONFIG, samples::LAYER, samples::manifest().to_string().as_bytes(), index] {
        let _ = std::fs::write(temp.path().join("blobs/sha256").join(Digest::sha256(bytes).hex()), bytes);
    }
    let _ = std::fs::write(temp.path().join("index.json"), index);
    let Ok(images) = layout.images() else { return };
    let _ = layout.resolve(None);
    let _ = layout.resolve(Some("a/b:1"));
    for image in images.iter().take(8) {
        let _ = layout.missing(&image.descriptor, |_| true);
        let _ = layout.manifest(&image.descriptor.digest);
        let _ = layout.referrers(&image.descriptor.digest, &ReferrerFilter::all());
        let _ = layout.tag("x/y:2", &image.descriptor);
    }
    let _ = layout.collect_garbage(0);
}

/// A layer, whatever it is, read as the file system of an image.
fn layer(bytes: &[u8]) {
    let temp = folder();
    let Ok(layout) = Layout::create(temp.path()) else { return };
    let layout = layout.durable(false);
    // Two layers with what is left over between them: upper ones hide what lower ones have.
    let (upper, lower) = bytes.split_at(bytes.len() / 1024 / 2 * 1024);
    for bytes in [upper, lower] {
        let _ = std::fs::write(temp.path().join("blobs/sha256").join(Digest::sha256(bytes).hex()), bytes);
    }
    let described = |bytes: &[u8]| Descriptor::new("application/vnd.oci.image.layer.v1.tar", Digest::sha256(bytes), bytes.len() as u64);
    let kind = sealift::oci::Kind::Image { config: described(b""), layers: vec![described(lower), described(upper)] };
    let manifest = Manifest { media_type: String::new(), kind, subject: None };
    let origin = MadeOrigin::new(layout.clone(), None);
    let blobs = Blobs { origin: &origin, workspace: &layout, stopped: &|| false, progress: &Silent::new() };
    let files = ImageFiles::of(blobs, &manifest);
    let _ = Release::read(&files);
    use sealift::openshift::files::Files as _;
    let mut seen = 0;
    let _ = files.each(&|_| true, &mut |_, reader| {
        seen += std::io::copy(reader, &mut std::io::sink())?;
        Ok(if seen > 1 << 24 { Flow::Stop } else { Flow::Continue })
    });
    let _ = ImageFiles::of(blobs, &manifest).below("a").each(&|path| path.ends_with('b'), &mut |_, _| Ok(Flow::Continue));
}
