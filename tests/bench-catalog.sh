#!/usr/bin/env bash
# Measures the reading, filtering and writing of operator catalogs on one core: seconds and peak memory, medians of several runs.
#
#   tests/bench-catalog.sh [FOLDER]     FOLDER (else /tmp/sealift-bench) keeps the made-up catalogs from run to run
#
#   SEALIFT                the binary to measure (else a release build is made)
#   SEALIFT_TEST_DATA      where fbc/community-v4.17.tar.zst lies (else ../shared/data); without it only made-up catalogs are measured
#   SEALIFT_BENCH_ROUNDS   rounds (5)
#
# A real catalog is reduced to the heads of all channels. Made-up ones of 100, 200 and 300 MB show whether time grows with the size
# (MB/s stays) and memory does not: packages of 1 MB in files of their own (YAML, JSON), and all of them in one file.
set -euo pipefail
me=bench-catalog
source "$(dirname "${BASH_SOURCE[0]}")/bench-common.sh"
work=${1:-/tmp/sealift-bench}/catalogs
rounds=${SEALIFT_BENCH_ROUNDS:-5}
data=${SEALIFT_TEST_DATA:-$here/../shared/data}
mkdir -p "$work"
run=$work/run.$$
mkdir "$run"
trap cleanup EXIT
need python3 taskset tar zstd
built

cat >"$run/measure.py" <<'PY'
"""measure.py NAME MEGABYTES ROUNDS COMMAND...: medians of wall and CPU seconds, and the peak of memory.

The peak is never below what this interpreter itself takes (about 10 MiB): the kernel counts from before the exec.
"""
import os, statistics, sys, time
name, size, rounds, command = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
walls, cpus, peak = [], [], 0
nothing = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
for _ in range(rounds):
    begin = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=nothing)
    _, status, usage = os.wait4(pid, 0)
    walls.append(time.monotonic() - begin)
    cpus.append(usage.ru_utime + usage.ru_stime)
    peak = max(peak, usage.ru_maxrss)
    if status:
        sys.exit(f"{name}: exit {os.waitstatus_to_exitcode(status)}")
wall, cpu = statistics.median(walls), statistics.median(cpus)
print(f"{name:34} {size:7.1f} MB {wall:7.2f} s {cpu:7.2f} CPU-s {size / wall:7.1f} MB/s {peak / 1024:7.1f} MiB")
PY

cat >"$run/make.py" <<'PY'
"""make.py FOLDER MEGABYTES yaml|json|one: packages of 1 MB, ten bundles each in a chain, twenty images per bundle."""
import hashlib, json, os, random, sys
folder, megabytes, form = sys.argv[1], int(sys.argv[2]), sys.argv[3]
words = "the operator installs and upgrades what it is told, watches it, and repairs what is broken ".split()


def package(name):
    yield {"schema": "olm.package", "name": name, "defaultChannel": "stable", "icon": {"base64data": "QUJD" * 2000, "mediatype": "image/png"}}
    names = [f"{name}.v1.{n}.0" for n in range(10)]
    entries = [{"name": names[0]}] + [{"name": n, "replaces": old} for old, n in zip(names, names[1:])]
    yield {"schema": "olm.channel", "package": name, "name": "stable", "entries": entries}
    for n, bundle in enumerate(names):
        images = [f"registry.example/{name}/part-{i}@sha256:" + hashlib.sha256(f"{bundle}{i}".encode()).hexdigest() for i in range(20)]
        text = " ".join(random.Random(bundle).choices(words, k=15500))
        yield {
            "schema": "olm.bundle", "package": name, "name": bundle, "image": f"registry.example/{name}/bundle:{n}",
            "properties": [
                {"type": "olm.package", "value": {"packageName": name, "version": f"1.{n}.0"}},
                {"type": "olm.gvk", "value": {"group": f"{name}.example", "version": "v1", "kind": "Thing"}},
                {"type": "olm.csv.metadata", "value": {"displayName": name, "description": text}},
            ],
            "relatedImages": [{"name": f"part-{i}", "image": image} for i, image in enumerate(images)],
        }


def write_yaml(file, value, indent="", lead=""):
    if isinstance(value, dict):
        for i, (key, inner) in enumerate(value.items()):
            file.write(f"{lead if i == 0 else indent}{key}:")
            write_inner(file, inner, indent)
    else:
        for item in value:
            write_yaml(file, item, indent + "  ", indent + "- ")


def write_inner(file, value, indent):
    if isinstance(value, (dict, list)):
        file.write("\n")
        write_yaml(file, value, indent + "  ", indent + "  ")
    elif len(value) > 1000:
        lines = [value[i:i + 120] for i in range(0, len(value), 120)]
        file.write(" |\n" + "".join(f"{indent}  {line.strip()}\n" for line in lines))
    else:
        file.write(f" {json.dumps(value)}\n")


total, number, one = 0, 0, None
while total < megabytes * 1_000_000:
    name = f"operator-{number:04}"
    number += 1
    path = f"{folder}/{'all' if form == 'one' else name}"
    os.makedirs(path, exist_ok=True)
    with open(f"{path}/catalog.{'json' if form == 'json' else 'yaml'}", "a") as file:
        begin = file.tell()
        for thing in package(name):
            if form == "json":
                json.dump(thing, file, indent=4)
                file.write("\n")
            else:
                file.write("---\n")
                write_yaml(file, thing)
        total += file.tell() - begin
PY

cat >"$run/heads.yaml" <<'YAML'
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
mirror:
  operators:
  - catalog: registry.example/index:v1
YAML

measure() { # NAME FOLDER ROUNDS ARGUMENTS...
    local name=$1 folder=$2 times=$3 bytes
    shift 3
    bytes=$(find "$folder" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.3f", n / 1e6 }')
    python3 "$run/measure.py" "$name" "$bytes" "$times" taskset -c 0 "$SEALIFT" list operators --catalog-dir "$folder" --config "$run/heads.yaml" "$@"
}

community=$data/fbc/community-v4.17.tar.zst
if [ -f "$community" ]; then
    mkdir "$run/community"
    zstd -dcq "$community" | tar -x -C "$run/community"
    measure "community v4.17 to heads" "$run/community" "$rounds" --format kept
    measure "community v4.17 to heads, written" "$run/community" "$rounds" -o "$run/out"
else
    echo "skipped: no community catalog"
fi
for form in yaml json one; do
    for size in 100 200 300; do
        folder=$work/$form-$size
        if [ ! -e "$folder.done" ]; then
            rm -rf "$folder"
            python3 "$run/make.py" "$folder" "$size" "$form"
            touch "$folder.done"
        fi
        measure "$form, $size MB, to heads, written" "$folder" 1 -o "$run/out-$form-$size"
        rm -rf "$run/out-$form-$size"
    done
done
