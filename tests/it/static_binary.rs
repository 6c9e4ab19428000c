//! The binary that is carried inside runs on any Linux of its architecture: it needs no library and no loader.

use crate::support::skip;
use std::process::Command;

/// Program header types and the dynamic tag looked for (System V ABI, "Program Header" and "Dynamic Section").
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;

fn number(bytes: &[u8], at: u64, len: usize) -> u64 {
    let at = usize::try_from(at).unwrap();
    bytes[at..at + len].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// What an ELF file (64 bit, little endian) asks the system for: a loader, shared libraries.
fn wants(elf: &[u8]) -> Vec<&'static str> {
    assert_eq!(elf[..6], *b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
    let (table, size, count) = (number(elf, 32, 8), number(elf, 54, 2), number(elf, 56, 2));
    let mut found = Vec::new();
    for header in (0..count).map(|i| table + i * size) {
        match number(elf, header, 4) {
            PT_INTERP => found.push("a loader"),
            // A static program that may lie anywhere in memory has a dynamic section too, for its own relocations.
            PT_DYNAMIC => {
                let (start, len) = (number(elf, header + 8, 8), number(elf, header + 32, 8));
                let tags = (start..start + len).step_by(16).map(|at| number(elf, at, 8)).take_while(|tag| *tag != DT_NULL);
                found.extend(tags.filter(|tag| *tag == DT_NEEDED).map(|_| "a library"));
            }
            _ => {}
        }
    }
    found
}

/// `SEALIFT_STATIC_BINARY` names a build for `x86_64-unknown-linux-musl`; `.ci/run` makes one and sets it.
#[test]
fn the_carried_binary_needs_nothing() {
    let Some(path) = std::env::var_os("SEALIFT_STATIC_BINARY") else {
        return skip("SEALIFT_STATIC_BINARY names no static build");
    };
    assert_eq!(wants(&std::fs::read(&path).unwrap()), Vec::<&str>::new());
    let output = Command::new(&path).arg("--version").env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let version = concat!("sealift ", env!("CARGO_PKG_VERSION"));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(version));
}

/// The test of the test: the test program itself is linked dynamically, and that is seen.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64", target_endian = "little"))]
fn a_dynamic_program_is_recognised() {
    let found = wants(&std::fs::read(std::env::current_exe().unwrap()).unwrap());
    assert!(found.contains(&"a loader") && found.contains(&"a library"), "{found:?}");
}
