//! Files the user's machine has: policy, registries, logins, hosts, stores of signatures, users of the embedded registry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::lookaside::Folders;
use sealift::oci::Reference;
use sealift::policy::{Evidence, Key, Policy, judge, plain_folders};
use sealift::registry::credentials::{AuthFile, AuthFiles, CredentialLookup as _, FileKind};
use sealift::registry::hosts::HostTable;
use sealift::registry::mirrors::Conf;
use sealift::serve::{Access, Anonymous};
use sealift_fuzz::{Input, document, folder, samples};
use std::path::Path;

fuzz_target!(init: sealift_fuzz::seeds::write("settings"), |data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 8 {
        0 | 1 => policy(&document(samples::policy, &mut input)),
        2 => drop(Key::from_pem(input.0)),
        3 => {
            let references: Vec<_> = ["quay.io/a/b:1", "x.example.com/c:1"].iter().filter_map(|text| Reference::parse(text).ok()).collect();
            let Ok((conf, _)) = Conf::parse(Path::new("c"), &String::from_utf8_lossy(input.0)) else { return };
            references.iter().for_each(|reference| drop(conf.places(reference)));
            let _ = conf.insecure_hosts();
        }
        4 => {
            if let Ok(table) = HostTable::parse(Path::new("h"), &String::from_utf8_lossy(input.0)) {
                table.for_host("registry.example:5000");
            }
        }
        5 => {
            let kind = [FileKind::AuthJson, FileKind::DockerConfig, FileKind::Legacy][usize::from(input.byte() % 3)];
            let temp = folder();
            let path = temp.path().join("auth");
            let _ = std::fs::write(&path, document(samples::logins, &mut input));
            let files = AuthFiles::new(vec![AuthFile { path, kind, required: true }], vec![]);
            for (host, repository) in [("registry.example", "a/b"), ("docker.io", "library/x"), ("other.example", "y")] {
                let _ = files.lookup(host, repository);
            }
        }
        6 => {
            let temp = folder();
            let _ = std::fs::write(temp.path().join("a.yaml"), input.piece());
            let _ = std::fs::write(temp.path().join("b.yaml"), input.piece());
            let _ = Folders { named: Some(temp.path().to_owned()), usual: vec![] }.load();
        }
        _ => {
            let temp = folder();
            let path = temp.path().join("users");
            let _ = std::fs::write(&path, input.0);
            let _ = Access::new(Anonymous::Pull, Some(&path));
        }
    }
});

fn policy(bytes: &[u8]) {
    let Ok(policy) = Policy::parse(bytes, &|_| Err("none".into())) else { return };
    let Ok(image) = serde_json::from_value(samples::set().contents["images"][0].clone()) else { return };
    let evidence =
        Evidence { payload: &|_, _| Err("none".into()), signatures: &|_, _| Ok(vec![b"x".to_vec()]), folder: &plain_folders, now: 0 };
    judge(&policy, &[image], &Default::default(), &evidence);
}
