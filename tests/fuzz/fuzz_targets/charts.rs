//! Helm: archives of charts, their templates, indexes of repositories.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::helm::{ImagePath, Package, Repository, Settings};
use sealift::web::{Get, Web, WebError};
use sealift_fuzz::Input;
use std::io::Write;

/// Whatever is asked for, it has this.
struct Always<'a>(&'a [u8]);

impl Web for Always<'_> {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        match self.0.len() as u64 > request.limit {
            true => Err(WebError::Cancelled),
            false => Ok(self.0.to_vec()),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    let _ = writer.write_all(bytes);
    writer.finish().unwrap_or_default()
}

fuzz_target!(init: sealift_fuzz::seeds::write("charts"), |data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 8 {
        0 => package(input.0.to_vec()),
        1 | 2 => package(gzip(input.0)),
        3 => index(input.0),
        _ => {
            let mut archive = tar::Builder::new(Vec::new());
            for path in ["c/Chart.yaml", "c/values.yaml", "c/templates/_helpers.tpl", "c/templates/pod.yaml", "c/charts/d/Chart.yaml"] {
                let content = input.piece();
                let mut header = tar::Header::new_ustar();
                header.set_size(content.len() as u64);
                header.set_mode(0o644);
                if !content.is_empty() {
                    let _ = archive.append_data(&mut header, path, content);
                }
            }
            package(gzip(&archive.into_inner().unwrap_or_default()));
        }
    }
});

fn package(bytes: Vec<u8>) {
    let Ok(package) = Package::read(bytes, "c") else { return };
    let _ = (package.title(), package.metadata().is_library());
    let paths: Vec<ImagePath> = ["{.spec..image}", "{.a[*]['b']}"].iter().filter_map(|path| ImagePath::parse(path).ok()).collect();
    let _ = package.images(&paths, &Settings::default(), &|| false);
}

fn index(bytes: &[u8]) {
    let Ok(repository) = Repository::open("https://charts.example/x", &Always(bytes)) else { return };
    for entry in repository.all().into_iter().take(8) {
        let _ = repository.pick(&entry.name, Some("1.x"));
        let _ = repository.place(entry);
    }
    let _ = repository.pick("c", None);
}
