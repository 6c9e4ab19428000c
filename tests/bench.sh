#!/usr/bin/env bash
# Compares sealift with skopeo, tar and zstd on real images: ratios of one run, medians of three alternating ones.
#
#   tests/bench.sh [FOLDER]     FOLDER (or SEALIFT_BENCH_DIR, else /tmp/sealift-bench) keeps the images from run to run
#
#   SEALIFT                  the binary to measure (else a release build is made)
#   SEALIFT_BENCH_REGISTRY   a loopback registry that holds the images of the corpus script as corpus/* (else one is filled)
#   SEALIFT_CORPUS           the script that builds them (else ../shared/tools/corpus.sh; needs debootstrap, umoci, pip)
#   SEALIFT_BENCH_ROUNDS     rounds (3)
#   SEALIFT_BENCH_ONLY       pack, unpack or memory: measure only that (unpack packs once, unmeasured)
#
# Seconds of wall time say little alone: the machine may be shared. The ratio of two commands that took turns says more.
set -euo pipefail
me=bench
source "$(dirname "${BASH_SOURCE[0]}")/bench-common.sh"
work=${1:-${SEALIFT_BENCH_DIR:-/tmp/sealift-bench}}
rounds=${SEALIFT_BENCH_ROUNDS:-3}
only=${SEALIFT_BENCH_ONLY:-}
mkdir -p "$work"
work=$(cd "$work" && pwd)
run=$work/run.$$
mkdir "$run"
trap cleanup EXIT
need docker-registry skopeo tar zstd python3 ssh-keygen
built

cat >"$run/measure.py" <<'PY'
"""measure.py OUT COMMAND...: runs it and writes wall seconds, CPU seconds and peak KiB of its largest process to OUT.

The peak is never below what this interpreter itself takes (about 13 MiB): the kernel counts from before the exec.
"""
import os, sys, time
out, command = sys.argv[1], sys.argv[2:]
begin = time.monotonic()
pid = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - begin
with open(out, "w") as file:
    print(f"{wall:.3f} {usage.ru_utime + usage.ru_stime:.3f} {usage.ru_maxrss}", file=file)
sys.exit(os.waitstatus_to_exitcode(status))
PY

cat >"$run/synthetic.py" <<'PY'
"""synthetic.py HOST PORT big GIB | many IMAGES LAYERS: pushes made-up images of bytes that do not compress."""
import concurrent.futures, hashlib, http.client, json, random, sys, threading
host, port, what, *sizes = sys.argv[1:]
PIECE = 4 << 20
mine = threading.local()


def ask(method, path, body=None, **headers):
    if not hasattr(mine, "line"):
        mine.line = http.client.HTTPConnection(host, int(port))
    mine.line.request(method, path, body, headers)
    answer = mine.line.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text[:200]}")
    place = answer.getheader("Location", "")
    return place[place.find("/v2/"):]


def finish(path, name, body):
    ask("PUT", f"{path}{'&' if '?' in path else '?'}digest={name}", body)


def small(repository, content):
    name = "sha256:" + hashlib.sha256(content).hexdigest()
    finish(ask("POST", f"/v2/{repository}/blobs/uploads/"), name, content)
    return {"digest": name, "size": len(content)}


def large(repository, pieces, size):
    """The digest is known at the end only, so the bytes go by PATCH and the name follows."""
    digest = hashlib.sha256()

    def hashed():
        for piece in pieces:
            digest.update(piece)
            yield piece

    path = ask("POST", f"/v2/{repository}/blobs/uploads/")
    path = ask("PATCH", path, hashed(), **{"Content-Length": str(size), "Content-Type": "application/octet-stream"})
    name = "sha256:" + digest.hexdigest()
    finish(path, name, b"")
    return {"digest": name, "size": size}


def image(repository, layers):
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **small(repository, json.dumps(config).encode())},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer} for layer in layers],
    }
    ask("PUT", f"/v2/{repository}/manifests/v1", json.dumps(manifest).encode(), **{"Content-Type": manifest["mediaType"]})


def one_of_many(number, layers):
    source, repository = random.Random(number), f"synthetic/many-{number}"
    image(repository, [small(repository, source.randbytes(2048)) for _ in range(layers)])


if what == "big":
    size = int(float(sizes[0]) * (1 << 30)) // PIECE * PIECE
    noise = random.Random(-1).randbytes(PIECE)
    # Each piece begins with its number: no two are equal.
    pieces = (number.to_bytes(8, "big") + noise[8:] for number in range(size // PIECE))
    image("synthetic/big", [large("synthetic/big", pieces, size)])
else:
    images, layers = map(int, sizes)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: one_of_many(number, layers), range(images)))
PY

# serve FOLDER: starts a registry on a free loopback port with its data in FOLDER; sets $port and $pid.
serve() {
    mkdir -p "$1"
    port=$(free_port)
    printf '%s\n' "version: 0.1" "log: {level: error}" "storage: {filesystem: {rootdirectory: $1}}" "http: {addr: '127.0.0.1:$port'}" >"$run/$port.yml"
    OTEL_TRACES_EXPORTER=none docker-registry serve "$run/$port.yml" >"$run/$port.log" 2>&1 &
    pid=$!
    servers+=("$pid")
    python3 - "$port" <<'PY' || fail "the registry does not answer; see $run/$port.log"
import http.client, sys, time
for _ in range(100):
    try:
        line = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
        line.request("GET", "/v2/")
        sys.exit(line.getresponse().status != 200)
    except OSError:
        time.sleep(0.1)
sys.exit(1)
PY
}

# took NAME COMMAND...: runs it measured; NAME collects one line per round. Dirty pages of whoever came before are written out first.
took() {
    local name=$1; shift
    sync
    python3 "$run/measure.py" "$run/one" "$@" >"$run/said" 2>&1 || { tail -40 "$run/said" >&2; fail "failed: $*"; }
    cat "$run/one" >>"$run/$name.times"
    printf '  %-28s %s\n' "$name" "$(cat "$run/one")"
}

# row TITLE OURS THEIRS: medians and their ratio.
row() {
    python3 - "$1" "$run/$2.times" "$run/$3.times" <<'PY'
import statistics, sys
title, *files = sys.argv[1:]
ours, theirs = (statistics.median(float(line.split()[0]) for line in open(f)) for f in files)
print(f"{title:<58} {ours:9.2f} {theirs:9.2f} {ours / theirs:7.2f}")
PY
}
peak() {
    python3 - "$1" "$run/$2.times" <<'PY'
import sys
lines = [line.split() for line in open(sys.argv[2])]
print(f"{sys.argv[1]:<58} {max(int(l[2]) for l in lines) / 1024:9.1f} MiB  in {min(float(l[0]) for l in lines):.1f} s")
PY
}

ssh-keygen -q -t ed25519 -N '' -C bench -f "$run/key"
# home NAME: an empty state folder that trusts the key.
home() {
    rm -rf "${run:?}/$1"
    mkdir -p "$run/$1"
    SEALIFT_HOME=$run/$1 "$SEALIFT" trust add stream:default "$run/key.pub" >"$run/said" 2>&1 || { cat "$run/said" >&2; fail "trust add"; }
}
# pack NAME OUT MORE... REF...: options that are the same in every measurement.
pack() {
    local name=$1 out=$2; shift 2
    rm -rf "$out"
    home "$name.home"
    took "$name" env SEALIFT_HOME="$run/$name.home" "$SEALIFT" pack "$@" --key "$run/key" --no-read-back \
        --volume-size 4294967295 --src-tls-verify=false "$out"
    rm -rf "${run:?}/$name.home"
}
unpack() {
    home "$1.home"
    took "$1" env SEALIFT_HOME="$run/$1.home" "$SEALIFT" unpack "$2" --to "localhost:$3/m" --dest-tls-verify=false --first
    rm -rf "${run:?}/$1.home"
}

# The images: of a registry that has them, else of one that is filled once.
if [ -n "${SEALIFT_BENCH_REGISTRY:-}" ]; then
    source=$SEALIFT_BENCH_REGISTRY
else
    serve "$work/registry"
    source=localhost:$port
    if [ ! -e "$work/corpus.done" ]; then
        corpus=${SEALIFT_CORPUS:-$here/../shared/tools/corpus.sh}
        [ -e "$corpus" ] || fail "no corpus script at $corpus"
        bash "$corpus" "$work/corpus" "$source"
        touch "$work/corpus.done"
    fi
fi
python3 - "$source" >"$run/images" <<'PY'
import json, sys, urllib.request
ask = lambda path: json.load(urllib.request.urlopen(f"http://{sys.argv[1]}/v2/{path}"))
for repository in ask("_catalog?n=1000")["repositories"]:
    if repository.startswith("corpus/"):
        for tag in sorted(ask(f"{repository}/tags/list")["tags"]):
            print(f"{repository}:{tag}")
PY
[ -s "$run/images" ] || fail "$source holds no corpus/* image"
mapfile -t refs < <(sed "s|^|$source/|" "$run/images")
python3 - "$source" "$run/images" >"$run/sync.yml" <<'PY'
import collections, sys
tags = collections.defaultdict(list)
for line in open(sys.argv[2]):
    repository, tag = line.strip().rsplit(":", 1)
    tags[repository].append(tag)
print(f'"{sys.argv[1]}":\n  tls-verify: false\n  images:')
for repository, found in tags.items():
    print(f"    {repository}: {found!r}")
PY
echo "$(wc -l <"$run/images") images from $source, $rounds rounds, $("$SEALIFT" --version), $(skopeo --version)"

sync_and_tar='rm -rf "$1" "$1.tar.zst"; mkdir "$1"; skopeo sync --src yaml --dest dir "$0" "$1" >/dev/null && tar c -C "$1" . | zstd -q -3 -o "$1.tar.zst"'

if [ -z "$only" ] || [ "$only" = pack ]; then
    for ((i = 0; i < rounds; i++)); do
        pack pack "$run/out" "${refs[@]}" --no-sync
        took skopeo-tar bash -o pipefail -c "$sync_and_tar" "$run/sync.yml" "$run/dir"
        pack pack-synced "$run/out" "${refs[@]}"
        took skopeo-tar-synced bash -o pipefail -c "$sync_and_tar && sync -f \"\$1\"" "$run/sync.yml" "$run/dir"
    done
    sizes=$(du -sb "$run/out" "$run/dir.tar.zst" | awk '{printf "%s%.1f MiB", sep, $1 / 1048576; sep = " and "}')
fi
if [ -z "$only" ] || [ "$only" = unpack ]; then
    [ -d "$run/out" ] || pack pack-once "$run/out" "${refs[@]}" --no-sync
    [ -d "$run/dir" ] || took skopeo-tar-once bash -o pipefail -c "$sync_and_tar" "$run/sync.yml" "$run/dir"
    for ((i = 0; i < rounds; i++)); do
        serve "$run/target"
        unpack unpack "$run/out" "$port"
        stop "$pid"; rm -rf "$run/target"
        serve "$run/target"
        took skopeo-push skopeo sync --src dir --dest docker --dest-tls-verify=false "$run/dir" "localhost:$port/m"
        stop "$pid"; rm -rf "$run/target"
    done
fi
rm -rf "$run/out" "$run/dir" "$run/dir.tar.zst"

if [ -z "$only" ] || [ "$only" = memory ]; then
    synthetic() { # synthetic NAME, then what synthetic.py takes
        local name=$1; shift
        serve "$run/synthetic"
        local from=$port from_pid=$pid
        python3 "$run/synthetic.py" 127.0.0.1 "$from" "$@"
        local set=(localhost:"$from"/synthetic/big:v1)
        if [ "$name" = many ]; then mapfile -t set < <(for ((i = 0; i < $2; i++)); do echo "localhost:$from/synthetic/many-$i:v1"; done); fi
        pack "pack-$name" "$run/out" "${set[@]}" --no-sync
        serve "$run/target"
        unpack "unpack-$name" "$run/out" "$port"
        stop "$pid"; stop "$from_pid"
        rm -rf "$run/target" "$run/synthetic" "$run/out"
    }
    synthetic big big "${SEALIFT_BENCH_GIB:-6}"
    # 200 images of 98 layers, a config and a manifest each: 20 000 blobs.
    synthetic many many 200 98
fi

[ "$only" = memory ] || printf '\n%-58s %9s %9s %7s\n' "seconds, median of $rounds" sealift others ratio
if [ -e "$run/pack.times" ]; then
    row "pack / skopeo sync + tar + zstd -3" pack skopeo-tar
    row "the same, both synced to disk" pack-synced skopeo-tar-synced
fi
if [ -e "$run/unpack.times" ]; then row "unpack / skopeo sync, into an empty registry" unpack skopeo-push; fi
if [ -e "$run/pack.times" ]; then printf 'sizes of what is carried: %s\n' "$sizes"; fi
if [ -e "$run/pack-big.times" ]; then
    printf '\npeak memory\n'
    peak "pack, one layer of ${SEALIFT_BENCH_GIB:-6} GiB" pack-big
    peak "unpack, one layer of ${SEALIFT_BENCH_GIB:-6} GiB" unpack-big
    peak "pack, 20 000 blobs" pack-many
    peak "unpack, 20 000 blobs" unpack-many
fi
