#!/usr/bin/env bash
# Compares sealift as a client and as a registry with skopeo, nginx and docker-registry: ratios of one run, medians of rounds that
# take turns. Everything listens on loopback; nothing is installed.
#
#   tests/bench-registries.sh
#
#   SEALIFT                the binary to measure (else a release build is made)
#   SEALIFT_BENCH_DIR      where to work (else /tmp): about 5 GB
#   SEALIFT_BENCH_ROUNDS   rounds (3)
#   SEALIFT_BENCH_ONLY     pull, large, small, memory, decoders or again: measure only that
set -euo pipefail
me=bench
source "$(dirname "${BASH_SOURCE[0]}")/bench-common.sh"
rounds=${SEALIFT_BENCH_ROUNDS:-3}
only=${SEALIFT_BENCH_ONLY:-}
run=$(mktemp -d "${SEALIFT_BENCH_DIR:-/tmp}/sealift-registries.XXXXXX")
trap cleanup EXIT
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

need docker-registry skopeo nginx ab curl python3 ssh-keygen # ab is in apache2-utils
built

# nginx_at FOLDER: the same files, by sendfile; sets $port and $pid.
nginx_at() {
    port=$(free_port)
    mkdir -p "$run/nginx"
    cat >"$run/nginx.conf" <<EOF
daemon off; pid $run/nginx/pid; error_log $run/nginx/error.log; worker_processes 2; user root;
events { worker_connections 1024; }
http {
    access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
    client_body_temp_path $run/nginx/1; proxy_temp_path $run/nginx/2; fastcgi_temp_path $run/nginx/3;
    uwsgi_temp_path $run/nginx/4; scgi_temp_path $run/nginx/5;
    server {
        listen 127.0.0.1:$port;
        location ~ ^/v2/.*/blobs/sha256:(.*)\$ { alias $1/blobs/sha256/\$1; }
        location / { return 200; }
    }
}
EOF
    background nginx -p "$run/nginx" -c "$run/nginx.conf"
    await "$port"
}

# both_at NAME: the layout $run/NAME as we serve it ($ours), and its first ten images in a docker-registry ($port).
both_at() {
    sealift_at "$run/$1" --read-only
    ours=$port
    registry_at "$run/$1.registry"
    for ((i = 0; i < 10; i++)); do
        skopeo copy -q --preserve-digests --src-tls-verify=false --dest-tls-verify=false "docker://127.0.0.1:$ours/small/$i:v1" "docker://127.0.0.1:$port/small/$i:v1"
    done
}

# took NAME COMMAND...: runs it measured; NAME collects one line per round.
took() {
    local name=$1; shift
    sync
    python3 "$tools" measure "$run/one" "$@" >"$run/said" 2>&1 || { tail -20 "$run/said" >&2; fail "failed: $*"; }
    cat "$run/one" >>"$run/$name.times"
    printf '  %-28s %s s\n' "$name" "$(cut -d' ' -f1 <"$run/one")"
}
heading() { printf '\n%-52s %10s %10s %7s  %s\n' "$1" sealift "$2" ratio asked; }
# row TITLE OURS THEIRS COLUMN ASKED: medians of a column and their ratio.
row() {
    python3 - "$1" "$run/$2.times" "$run/$3.times" "$4" "$5" <<'PY'
import statistics, sys
title, ours, theirs, column, asked = sys.argv[1:]
ours, theirs = (statistics.median(float(line.split()[int(column)]) for line in open(f)) for f in (ours, theirs))
print(f"{title:<52} {ours:10.2f} {theirs:10.2f} {ours / theirs:7.2f}  {asked}")
PY
}

ssh-keygen -q -t ed25519 -N '' -C bench -f "$run/key"
home() {
    rm -rf "${run:?}/home"
    mkdir "$run/home"
    export SEALIFT_HOME=$run/home
    "$SEALIFT" --quiet trust add stream:default "$run/key.pub" >"$run/said"
}
pack() { # pack NAME PORT IMAGES
    local refs
    mapfile -t refs < <(for ((i = 0; i < $3; i++)); do echo "127.0.0.1:$2/small/$i:v1"; done)
    rm -rf "$run/set"
    home
    took "$1" "$SEALIFT" pack "${refs[@]}" --key "$run/key" --no-read-back --no-sync --src-tls-verify=false "$run/set"
}

if wanted pull; then
    python3 "$tools" layout "$run/ten" 10 8 1000000 2
    both_at ten
    background python3 "$tools" latency "127.0.0.1:$port" 100 "$run/slow"
    slow=$(written "$run/slow")
    { printf '"127.0.0.1:%s":\n  tls-verify: false\n  images:\n' "$slow"; for ((i = 0; i < 10; i++)); do echo "    small/$i: [v1]"; done; } >"$run/sync.yml"
    for ((round = 0; round < rounds; round++)); do
        pack pull "$slow" 10
        rm -rf "$run/dir"
        mkdir "$run/dir"
        took pull-skopeo skopeo sync --src yaml --dest dir "$run/sync.yml" "$run/dir"
    done
    heading "10 images of 9 MB, 100 ms per request (s)" skopeo
    row "pack / skopeo sync to a folder" pull pull-skopeo 0 "<= 0.5"
    rm -rf "$run/ten" "$run/ten.registry" "$run/dir" "$run/set"
fi

if wanted large; then
    python3 "$tools" layout "$run/large" 1 4 268435456
    mapfile -t big < <(find "$run/large/blobs/sha256" -size +1M -printf '%f\n')
    sealift_at "$run/large" --read-only
    ours=$port
    nginx_at "$run/large"
    fetch='port=$1; shift; for blob; do for turn in 1 2; do curl -sf -o /dev/null "http://127.0.0.1:$port/v2/small/0/blobs/sha256:$blob" & done; done
        for job in $(jobs -p); do wait "$job" || exit 1; done'
    for which in "$ours" "$port"; do bash -c "$fetch" _ "$which" "${big[@]}"; done
    for ((round = 0; round < 2 * rounds; round++)); do
        took large bash -c "$fetch" _ "$ours" "${big[@]}"
        took large-nginx bash -c "$fetch" _ "$port" "${big[@]}"
    done
    heading "4 blobs of 256 MiB, 8 connections (s)" nginx
    row "seconds for all of them" large large-nginx 0 "<= 1.25 (a rate of 0.8)"
    rm -rf "$run/large"
fi

# hammer NAME URL: requests per second and the 99th percentile in ms, from 16 connections that stay open.
hammer() {
    ab -q -k -n "${SEALIFT_BENCH_REQUESTS:-10000}" -c 16 -e "$run/percent" -H 'Accept: application/vnd.oci.image.manifest.v1+json' "$2" >"$run/said" 2>&1 ||
        { tail -5 "$run/said" >&2; fail "ab $2"; }
    grep -q 'Failed requests: *0$' "$run/said" && ! grep -q 'Non-2xx' "$run/said" || { grep -E "Failed|Non-2xx" "$run/said" >&2; fail "answers that are no success: $2"; }
    awk -v p="$(awk -F, '$1 == 99 {print $2}' "$run/percent")" '/Requests per second/ {print $4, p}' "$run/said" | tee -a "$run/$1.times" |
        awk -v n="$1" '{printf "  %-28s %s /s, p99 %s ms\n", n, $1, $2}'
}

if wanted small; then
    python3 "$tools" layout "$run/tiny" 200 10 2048
    both_at tiny
    blob=$(curl -s "http://127.0.0.1:$ours/v2/small/1/manifests/v1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"][0]["digest"])')
    digest=$(curl -sI "http://127.0.0.1:$ours/v2/small/1/manifests/v1" | tr -d '\r' | awk -F': ' 'tolower($1) == "docker-content-digest" {print $2}')
    for ((round = 0; round < rounds; round++)); do
        for what in "tag manifests/v1" "digest manifests/$digest" "blob blobs/$blob"; do
            read -r name path <<<"$what"
            hammer "$name" "http://127.0.0.1:$ours/v2/small/1/$path"
            hammer "$name-registry" "http://127.0.0.1:$port/v2/small/1/$path"
        done
    done
    heading "requests per second, 16 connections" registry
    row "manifest by tag" tag tag-registry 0 ">= 2"
    row "manifest by digest" digest digest-registry 0 ">= 2"
    row "blob of 2 KiB" blob blob-registry 0 ">= 2"
    heading "99th percentile (ms)" registry
    row "manifest by tag" tag tag-registry 1 "< 1"
    row "manifest by digest" digest digest-registry 1 "< 1"
    row "blob of 2 KiB" blob blob-registry 1 "< 1"
    rm -rf "$run/tiny" "$run/tiny.registry"
fi

if wanted memory; then
    python3 "$tools" layout "$run/large" 1 4 67108864
    mapfile -t big < <(find "$run/large/blobs/sha256" -size +1M -printf '%f\n')
    sealift_at "$run/large" --read-only
    known() { awk -v k="$1:" '$1 == k {printf "%.1f", $2 / 1024}' "/proc/$pid/status"; }
    # 200 at once, each held back to 8 MB/s, so that they overlap.
    many() {
        local urls=()
        for ((i = 0; i < 200; i++)); do urls+=(-o /dev/null "http://127.0.0.1:$port/v2/small/0/blobs/sha256:${big[i % ${#big[@]}]}"); done
        curl -sf -Z --parallel-max 200 --limit-rate 8M "${urls[@]}" 2>"$run/said" || fail "a pull failed"
    }
    printf '\nresident MiB of the registry with 200 pulls of 64 MiB at once\n  before %s' "$(known VmRSS)"
    for ((round = 0; round < 3; round++)); do many; printf ', after %s (peak so far %s)' "$(known VmRSS)" "$(known VmHWM)"; done
    printf '\n'
    rm -rf "$run/large"
fi

if wanted decoders; then
    # Words that compress to a quarter, in layers that no source compressed.
    python3 - "$run/words" <<'PY'
import hashlib, json, pathlib, random, sys
folder, noise = pathlib.Path(sys.argv[1]), random.Random(1)
blobs = folder / "blobs/sha256"
blobs.mkdir(parents=True)
def put(kind, content):
    name = hashlib.sha256(content).hexdigest()
    (blobs / name).write_bytes(content)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content)}
words = [noise.randbytes(noise.randint(3, 9)).hex() for _ in range(20000)]
def layer():
    content = bytearray()
    while len(content) < 64 << 20:
        content += " ".join(noise.choices(words, k=20000)).encode()
    return put("application/vnd.oci.image.layer.v1.tar", bytes(content[: 64 << 20]))
layers = [layer() for _ in range(4)]
config = put("application/vnd.oci.image.config.v1+json", b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
kind = "application/vnd.oci.image.manifest.v1+json"
manifest = put(kind, json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}).encode())
(folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
name = {"annotations": {"org.opencontainers.image.ref.name": "small/0:v1"}}
(folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest | name]}))
PY
    mapfile -t big < <(find "$run/words/blobs/sha256" -size +1M -printf '%f\n')
    sealift_at "$run/words" --read-only
    pack pack-words "$port" 1
    port=$(free_port)
    background "$SEALIFT" --quiet serve "$run/set" --plain-http --allow-anonymous pull --listen "127.0.0.1:$port"
    await "$port"
    known() { awk -v k="$1:" '$1 == k {printf "%.1f", $2 / 1024}' "/proc/$pid/status"; }
    urls=()
    for ((i = 0; i < 200; i++)); do urls+=(-o /dev/null "http://127.0.0.1:$port/v2/small/0/blobs/sha256:${big[i % ${#big[@]}]}"); done
    printf '\nresident MiB of the registry with 200 pulls of 64 MiB that lie compressed in a volume\n  before %s\n' "$(known VmRSS)"
    for rate in 4M 1M; do
        took "decoders-$rate" curl -sf -Z --parallel-max 200 --limit-rate "$rate" "${urls[@]}"
        printf '  at %sB/s each: after %s (peak so far %s)\n' "$rate" "$(known VmRSS)" "$(known VmHWM)"
    done
    rm -rf "$run/words" "$run/set"
fi

if wanted again; then
    python3 "$tools" layout "$run/many" 1000 2 1024
    sealift_at "$run/many" --read-only
    pack pack-many "$port" 1000
    push() { took "$1" "$SEALIFT" unpack "$run/set" --to "127.0.0.1:$port/m" --dest-tls-verify=false --first; }
    counted() { curl -s "http://127.0.0.1:$port/metrics" | sed -n 's/^sealift_http_requests_total//p'; }

    sealift_at "$run/again" --allow-anonymous push
    push push-serve
    counted >"$run/before"
    for ((round = 0; round < rounds; round++)); do push again-serve; done
    counted >"$run/after"
    home
    registry_at "$run/again.registry" "$run/access.log"
    push push-registry
    lines=$(wc -l <"$run/access.log")
    for ((round = 0; round < rounds; round++)); do push again-registry; done
    printf '\n1 000 images that are there already: seconds, asked < 2; and requests of %s runs\n' "$rounds"
    for name in serve registry; do
        python3 - "$name" "$run/again-$name.times" "$run/push-$name.times" <<'PY'
import statistics, sys
name, again, first = sys.argv[1:]
wall = lambda f: statistics.median(float(line.split()[0]) for line in open(f))
print(f"  {name}: {wall(again):.2f} (the first push: {wall(first):.2f})")
PY
    done
    python3 - "$run/before" "$run/after" <<'PY'
import sys
before, after = (dict(line.rsplit(" ", 1) for line in open(f)) for f in sys.argv[1:])
print("  serve:", ", ".join(f"{name} {int(after[name]) - int(before.get(name, 0))}" for name in after if after[name] != before.get(name)))
PY
    echo "  registry:" "$(tail -n +$((lines + 1)) "$run/access.log" | grep -oE '"(GET|HEAD|POST|PUT|PATCH|DELETE) ' | sort | uniq -c | tr -d '"\n')"
fi
