#!/usr/bin/env bash
# Pushes many images through a proxy that fails 5 % of the requests, and looks whether everything arrived, nothing twice.
#
#   tests/soak.sh [IMAGES [LAYERS]]     100 images of 20 layers; the full run is: tests/soak.sh 2000 20
#
#   SEALIFT           the binary to measure (else a release build is made)
#   SEALIFT_SOAK_DIR  where to work (else /tmp): some MB per 100 images
#   SOAK_TARGET       docker-registry (default) or serve
#   SOAK_PERCENT      of the requests that fail (5): reset, 500, 503, cut in the middle, answer lost
#   SOAK_SHARED       layers that are the same in all images, and must be mounted (4)
#
# Fails if a blob or manifest is missing, if a blob was taken twice by one repository, or if memory grew by more than a tenth
# from the first half of the run to the second: what waits for its upload and what there is to do are most at the beginning.
set -euo pipefail
me=soak
source "$(dirname "${BASH_SOURCE[0]}")/bench-common.sh"
images=${1:-100}
layers=${2:-20}
target=${SOAK_TARGET:-docker-registry}
percent=${SOAK_PERCENT:-5}
run=$(mktemp -d "${SEALIFT_SOAK_DIR:-/tmp}/sealift-soak.XXXXXX")
trap cleanup EXIT

need python3 ssh-keygen curl
[ "$target" = serve ] || command -v docker-registry >/dev/null || fail "docker-registry is missing (SOAK_TARGET=serve does without)"
built

python3 "$tools" layout "$run/source" "$images" "$layers" 2048 "${SOAK_SHARED:-4}"
sealift_at "$run/source" --read-only
from=$port
mkdir "$run/target"
if [ "$target" = serve ]; then sealift_at "$run/target" --allow-anonymous push; else registry_at "$run/target"; fi
to=$port
background python3 "$tools" failing "127.0.0.1:$to" "$percent" "$run/port" "$run/seen"
proxy=$pid
through=$(written "$run/port")

ssh-keygen -q -t ed25519 -N '' -C soak -f "$run/key"
export SEALIFT_HOME=$run/home
mkdir "$run/home"
"$SEALIFT" --quiet trust add stream:default "$run/key.pub"
mapfile -t refs < <(for ((i = 0; i < images; i++)); do echo "127.0.0.1:$from/small/$i:v1"; done)
echo "packing $images images of $layers layers"
"$SEALIFT" --quiet pack "${refs[@]}" --key "$run/key" --no-read-back --no-sync --src-tls-verify=false "$run/set"
stop "${servers[0]}"

echo "pushing into $target, $percent % of the requests fail"
said=0
python3 "$tools" measure "$run/measured" "$SEALIFT" unpack "$run/set" --to "127.0.0.1:$through/m" --dest-tls-verify=false --first \
    >"$run/said" 2>&1 || said=$?
read -r wall cpu _ first second <"$run/measured"
stop "$proxy"
grep -v -E '^ *"(GET|HEAD|POST|PUT|PATCH|DELETE)"' "$run/seen"
if [ "$said" != 0 ]; then tail -30 "$run/said" >&2; fail "unpack ended with $said"; fi
python3 "$tools" holds "127.0.0.1:$to" m/ "$run/source" || fail "not everything is there"
printf '%s images in %s s (%s s of CPU); memory: at most %s KiB in the first half, %s KiB in the second\n' "$images" "$wall" "$cpu" "$first" "$second"
python3 - "$run/seen" <<'PY' || fail "a blob was taken twice"
import json, sys
sys.exit(json.load(open(sys.argv[1]))["uploaded twice into one repository"] != 0)
PY
[ "$((second * 10))" -le "$((first * 11))" ] || fail "memory grew from $first to $second KiB"
echo "all there, none twice, memory flat"
