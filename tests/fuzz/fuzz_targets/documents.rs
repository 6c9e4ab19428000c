//! Documents that come back or are passed on: plans, receipts, ledgers, delete lists; and what is written from receipts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::cluster::{Instructions, Kind, Target, mirror_instructions, resources};
use sealift::digest::Digest;
use sealift::format::{LedgerBook, Receipt, SetId};
use sealift::inventory::DeleteList;
use sealift::pack::PackPlan;
use sealift_fuzz::{Input, document, samples};
use serde_json::json;

fuzz_target!(init: sealift_fuzz::seeds::write("documents"), |data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 5 {
        0 | 1 => {
            let Ok(plan) = PackPlan::parse(&document(samples::plan, &mut input)) else { return };
            let _ = (plan.digest(), plan.estimate(), plan.referrers(), plan.layout_index(), plan.to_bytes());
        }
        2 => {
            let Ok(receipt) = Receipt::parse(&document(samples::receipt, &mut input)) else { return };
            let _ = receipt.to_bytes();
            let target = Target { name: "registry.example:5000/p".into(), receipts: vec![receipt], insecure: false, authority: None };
            let kinds = Kind::ALL.into_iter().collect();
            let _ = resources(std::slice::from_ref(&target), &kinds);
            let _ = mirror_instructions(&[target], Instructions::Idms);
        }
        3 => {
            let set = SetId { stream: "s".into(), sequence: 1, identity: Digest::sha256(b"") };
            let sample = || {
                let mut book = LedgerBook::new("t");
                book.note_tag(&set, "a:1");
                let _ = book.note_set(&set);
                book.to_bytes().ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
            };
            let Ok(book) = LedgerBook::parse(&document(sample, &mut input)) else { return };
            let _ = book.standing(&set);
            let _ = LedgerBook::new("t").merge(&book);
        }
        _ => {
            let sample = || {
                json!({"apiVersion": "mirror.openshift.io/v2alpha1", "kind": "DeleteImageList", "items": [
                    {"imageName": "quay.io/a:1", "imageReference": "docker://registry.example/a:1", "type": "generic"}]})
            };
            let _ = DeleteList::parse(&document(sample, &mut input));
        }
    }
});
