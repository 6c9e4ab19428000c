//! The connected side as a person walks it: registry, plan, pack, verify, inspect, and the same with stock tools only.

use crate::support::fleet::{self, Fleet};
use crate::support::run::{User, copy_folder, files, finish, holds, shell};
use sealift::digest::Digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Volumes of the set in `dir`, in order.
fn volumes(dir: &Path) -> Vec<PathBuf> {
    let all = files(dir).into_keys().filter(|name| name.ends_with(".tar.zst"));
    all.map(|name| dir.join(name)).collect()
}

fn the_index(dir: &Path) -> PathBuf {
    let mut all = files(dir).into_keys().filter(|name| name.ends_with(".index.json"));
    dir.join(all.next().unwrap())
}

/// Digest of the raw manifest as skopeo gets it from the registry.
fn by_skopeo(reference: &str) -> Digest {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    Digest::sha256(finish(command).expect(0).out.as_bytes())
}

fn string(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn every_kind_of_image_is_packed_with_the_digest_it_has_at_its_source() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    let packed =
        user.run(&format!("pack {} --key site --volume-size 600KB --src-tls-verify=false --json OUT", fleet.words())).expect(0).json();
    assert_eq!((&packed["signed"], packed["images"].as_u64()), (&Value::Bool(true), Some(fleet.images().len() as u64)));
    let sizes: Vec<u64> = volumes(&user.at("OUT")).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert!(sizes.len() >= 4 && sizes.iter().all(|size| *size <= 600_000), "{sizes:?}");
    user.run("verify OUT").expect(0);
    let deep = user.run("verify OUT --deep --json").expect(0).json();
    let told = &deep["sets"][0];
    assert!(told["created"].is_string() && told["volumes"].is_u64() && told["images"].is_u64(), "{told}");
    assert_eq!(told["signers"][0]["owner"], "owner", "who signed is a fact of the object as of the text: {told}");
    let content = fleet.content();
    assert_eq!(deep["sets"][0]["blobsProven"].as_u64(), Some(content.len() as u64));

    let set = user.run("inspect OUT --json").expect(0).json()["sets"][0].clone();
    let listed: BTreeMap<String, String> =
        set["images"].as_array().unwrap().iter().map(|image| (string(&image["source"]), string(&image["digest"]))).collect();
    let wanted: BTreeMap<String, String> = fleet.images().iter().map(|(name, _)| (name.clone(), by_skopeo(name).to_string())).collect();
    assert_eq!(listed, wanted);
    let blobs: BTreeMap<String, u64> =
        set["blobs"].as_array().unwrap().iter().map(|b| (string(&b["digest"]), b["size"].as_u64().unwrap())).collect();
    assert_eq!(blobs, content.iter().map(|(digest, bytes)| (digest.to_string(), bytes.len() as u64)).collect());
    assert_eq!(set["identity"], Value::String(Digest::sha256(&fs::read(the_index(&user.at("OUT"))).unwrap()).to_string()));

    // One volume alone, also where it is the only one on its medium.
    let volumes = volumes(&user.at("OUT"));
    user.run(&format!("verify {}", volumes[1].display())).expect(0);
    copy_folder(&user.at("OUT"), &user.at("STICK"));
    for volume in volumes.iter().skip(1) {
        fs::remove_file(user.at("STICK").join(volume.file_name().unwrap())).unwrap();
    }
    let first = volumes[0].file_name().unwrap().to_str().unwrap();
    user.run(&format!("verify STICK/{first}")).expect(0);
    user.run("verify STICK --this-medium").expect(0);
    user.run("verify STICK").refused(12, "VOLUME_MISSING", &[volumes[1].file_name().unwrap().to_str().unwrap(), "needed for"]);
}

#[test]
fn the_commands_of_the_manual_work_word_for_word() {
    let (Some(fleet), user) = (Fleet::start(), User::new()) else { return };
    fs::create_dir(user.at(".ssh")).unwrap();
    user.keygen(&user.at(".ssh/id_ed25519"));
    user.run("key generate site").expect(0);
    let yaml = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n\
         \x20 - name: {host}/team/app:1.0\n  - name: {host}/team/app:1.1\n  - name: {host}/legacy/web:latest\n",
        host = fleet.host()
    );
    fs::write(user.at("imageset.yaml"), yaml).unwrap();
    fleet::layout(&user.at("dir"), "TAG");
    let word_for_word = |line: &str| {
        let mut command = user.sealift();
        let program = PathBuf::from(command.get_program());
        command = {
            let mut shell = Command::new("sh");
            let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
            shell.args(["-c", line]).env_clear().env("PATH", path).env("HOME", user.work()).env("SEALIFT_HOME", user.home());
            shell.current_dir(user.work());
            shell
        };
        finish(command)
    };
    let plan = word_for_word("sealift plan imageset.yaml").expect(0);
    assert!(plan.out.contains("team/app:1.1") && plan.out.contains("3 images"), "{}", plan.out);
    word_for_word("sealift pack imageset.yaml --key site --volume-size 4MB --src-tls-verify=false OUT").expect(0);
    let out2 = word_for_word("sealift pack oci:dir:TAG --key ~/.ssh/id_ed25519 OUT2").expect(0);
    assert!(out2.out.contains("read back"), "{}", out2.out);
    word_for_word("sealift verify OUT").expect(0);
    // The key made by sealift is trusted where it was made, the other one is not before somebody says so.
    word_for_word("sealift verify OUT2").refused(11, "KEY_UNKNOWN", &["sealift trust add"]);
    word_for_word("sealift trust add stream:default ~/.ssh/id_ed25519.pub").expect(0);
    word_for_word("mv OUT/*-0001.tar.zst OUT/one-volume.tar.zst").expect(0);
    word_for_word("sealift verify OUT/one-volume.tar.zst").expect(0);
    let inspected = word_for_word("sealift inspect OUT --json").expect(0).json();
    assert_eq!(inspected["sets"][0]["images"].as_array().unwrap().len(), 3);
    word_for_word("sealift verify OUT2").expect(0);
    let explained = word_for_word("sealift explain 13").expect(0);
    assert!(explained.out.contains("CONTENT_DAMAGED"), "{}", explained.out);
}

#[test]
fn an_image_set_file_decides_names_platforms_blocks_and_volumes() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    let host = fleet.host();
    let yaml = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\narchiveSize: 5\nmirror:\n  additionalImages:\n\
         \x20 - name: {host}/team/app:1.0\n    targetRepo: renamed/app\n    targetTag: v1\n\
         \x20 - name: {host}/team/multi:2\n    platforms: [{{os: linux, architecture: arm64}}]\n\
         \x20 - name: {host}/odd/things:zstd\n\
         \x20 - name: {host}/legacy/web:latest\n\
         \x20 blockedImages:\n  - name: '^{host}/odd/.*'\n"
    );
    fs::write(user.at("set.yaml"), yaml).unwrap();
    let plan = user.run("plan set.yaml --src-tls-verify=false -o plan.json --json").expect(0).json();
    let named: Vec<String> =
        plan["images"].as_array().unwrap().iter().map(|i| format!("{}:{}", string(&i["repository"]), string(&i["tag"]))).collect();
    assert_eq!(named, ["renamed/app:v1", "team/multi:2", "legacy/web:latest"]);
    user.run("pack set.yaml --key site --src-tls-verify=false OUT").expect(0);
    user.run("pack plan.json --key site --src-tls-verify=false OUT2").expect(0);
    for out in ["OUT", "OUT2"] {
        let set = user.run(&format!("inspect {out} --json")).expect(0).json()["sets"][0].clone();
        let images = set["images"].as_array().unwrap();
        assert_eq!(images.iter().map(|i| string(&i["name"])).collect::<Vec<_>>(), named);
        assert_eq!((&images[1]["platforms"][0], images[1]["platforms"].as_array().unwrap().len()), (&"linux/arm64".into(), 1));
        // The index itself stays as it is at the source; what it does not need is not carried.
        assert_eq!(string(&images[1]["digest"]), by_skopeo(&format!("{host}/team/multi:2")).to_string());
        let amd64 = Digest::sha256(&fleet.stocks[1].docs[0].bytes).to_string();
        assert!(!set["blobs"].as_array().unwrap().iter().any(|b| b["digest"] == amd64.as_str()));
        user.run(&format!("verify --deep {out}")).expect(0);
    }
    // archiveSize counts GiB; above the largest volume it is clamped and said so.
    let clamped = user.run("plan set.yaml --src-tls-verify=false").expect(0);
    assert!(clamped.err.contains("archiveSize") && clamped.out.contains("4294967295"), "{clamped:?}");
}

#[test]
fn a_volume_size_is_an_exact_bound_in_every_unit() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    let plan = format!("plan {} --src-tls-verify=false -o plan.json", fleet.words());
    for (size, bytes) in
        [("262144", 262_144), ("300KB", 300_000), ("0.3MiB", 314_572), ("333333", 333_333), ("1MiB", 1_048_576), ("256KiB", 262_144)]
    {
        user.run(&format!("{plan} --volume-size {size}")).expect(0);
        let out = format!("OUT-{size}");
        user.run(&format!("pack plan.json --key site --src-tls-verify=false --no-sync {out}")).expect(0);
        let sizes: Vec<u64> = volumes(&user.at(&out)).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
        assert!(sizes.iter().all(|n| *n <= bytes), "{size}: {sizes:?}");
        // Not merely small: a volume is closed when the next piece does not fit, so all but the last are nearly full.
        let full = sizes.iter().filter(|n| **n + 150_000 > bytes).count();
        assert!(full + 1 >= sizes.len(), "{size}: {sizes:?}");
        user.run(&format!("verify {out}")).expect(0);
    }
    for (size, told) in [("255KiB", "262144"), ("5GiB", "4294967295"), ("4XB", "4XB")] {
        let ran = user.run(&format!("{plan} --volume-size {size}")).expect(2);
        assert!(ran.err.contains(told), "{size}: {}", ran.err);
    }
}

#[test]
fn a_layout_is_read_in_place_and_not_copied_to_the_workspace() {
    let user = User::with_key();
    fleet::layout(&user.at("dir"), "1.0");
    user.run("pack oci:dir:1.0 --key site --workspace W OUT").expect(0);
    user.run("verify --deep OUT").expect(0);
    assert!(!holds(&user.at("W"), &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]), "the layer was copied");
}

/// The commands of the manual page, section STOCK TOOLS: its three blocks of literal text.
fn stock_tools() -> Vec<String> {
    let page = include_str!("../../man/sealift-archive.5");
    let section = page.split(".SH STOCK TOOLS").nth(1).unwrap().split(".SH ").next().unwrap();
    let blocks = section.split(".nf\n").skip(1).map(|block| block.split(".fi").next().unwrap());
    blocks.map(|block| block.replace("\\-", "-").replace("\\(aq", "'").replace("\\\\", "\\")).collect()
}

#[test]
fn stock_tools_open_a_set_as_the_manual_says() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    user.run(&format!("pack {} --key site --stream tools --volume-size 300KB --src-tls-verify=false OUT", fleet.words())).expect(0);
    let out = user.at("OUT");
    let index = the_index(&out);
    let name = index.file_name().unwrap().to_str().unwrap().strip_suffix(".index.json").unwrap().to_owned();
    let [verify, table, unpack] = stock_tools().try_into().unwrap();
    fs::copy(user.home().join("config/trust/allowed_signers"), out.join("allowed_signers")).unwrap();

    let verify = verify.replace("STREAM", "tools").replace("NAME", &name);
    assert!(shell(&out, &verify).contains("Good \"sealift-index@1\" signature"));
    let volumes = volumes(&out);
    for volume in &volumes {
        let volume = volume.file_name().unwrap().to_str().unwrap();
        shell(&out, &table.replace("VOLUME", volume).replace("NAME", &name));
        let listed = shell(&out, &format!("tar --zstd -tf {volume}"));
        assert!(listed.starts_with("oci-layout\nindex.json\n"), "{listed}");
    }
    assert!(fs::read(out.join("wanted")).unwrap().len() >= 64, "the table is compared, not two empty files");
    // The table is worth something: one changed byte is found.
    let mut bytes = fs::read(&volumes[0]).unwrap();
    bytes[5000] ^= 1;
    fs::write(out.join("damaged"), &bytes).unwrap();
    let script = table.replace("cmp", "! cmp").replacen("VOLUME >", "damaged >", 1);
    shell(&out, &script.replace("VOLUME", volumes[0].file_name().unwrap().to_str().unwrap()).replace("NAME", &name));

    let layout = user.at("layout");
    fs::create_dir(&layout).unwrap();
    for volume in &volumes {
        fs::copy(volume, layout.join(volume.file_name().unwrap())).unwrap();
    }
    shell(&layout, &unpack.replace("NAME", &name));
    let content = fleet.content();
    let found = files(&layout.join("blobs/sha256"));
    assert_eq!(found.len(), content.len());
    for (hex, bytes) in &found {
        assert_eq!(&Digest::sha256(bytes).hex(), hex);
    }
    shell(&layout, "cd blobs/sha256; for f in *; do echo \"$f  $f\"; done | sha256sum -c --quiet");
    // And it is a layout to others: each image by its name, with all of its members, under the digest it had.
    for (reference, doc) in fleet.images() {
        let entry = reference.split_once('/').unwrap().1;
        // skopeo finds entries with Docker's media types in no layout, and copies no index in an index.
        if doc.media_type.contains("docker") || entry == "odd/things:nested" {
            continue;
        }
        let target = format!("copy-{}", entry.replace(['/', ':'], "-"));
        let mut command = Command::new("skopeo");
        command.args(["copy", "-q", "--all", "--preserve-digests", "--insecure-policy"]).current_dir(user.work());
        finish({
            command.arg(format!("oci:layout:{entry}")).arg(format!("dir:{target}"));
            command
        })
        .expect(0);
        assert_eq!(Digest::sha256(&fs::read(user.at(&target).join("manifest.json")).unwrap()), doc.digest(), "{entry}");
    }
    let listed = shell(&user.work(), "umoci ls --layout layout");
    assert!(listed.contains("legacy/web:latest"), "{listed}");
}
