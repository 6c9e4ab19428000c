#!/usr/bin/env bash
# Fuzzes what reads foreign bytes: tests/fuzz/run.sh [SECONDS [TARGET...]]; without targets all of fuzz_targets/, one after the other.
# First inputs are made by the targets themselves (src/seeds.rs); SEALIFT_IMAGE_SETS may name a folder of further ImageSets.
# Needs `cargo install cargo-fuzz` and a C++ compiler. The toolchain is the stable one, RUSTC_BOOTSTRAP lets it instrument.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0
seconds=${1:-60}
shift || true
[ $# -gt 0 ] || set -- $(basename -s .rs fuzz_targets/*.rs)

cargo fuzz build --fuzz-dir .
failed=()
for target in "$@"; do
    printf '\n== %s\n' "$target"
    nice -n 10 cargo fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=16384 \
        -print_final_stats=1 || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { printf 'failed: %s; the inputs are in artifacts/\n' "${failed[*]}" >&2; exit 1; }
