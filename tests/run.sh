#!/usr/bin/env bash
# Runs every test. Tools of others that the tests check against are installed from Debian's packages where they are
# missing (as root, or with sudo); with nothing missing no network is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:/usr/sbin:/sbin"

fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

# A command of the package, and the package (Debian's name).
needed='
docker-registry docker-registry
skopeo          skopeo
buildah         buildah
curl            curl
umoci           umoci
ssh-keygen      openssh-client
ssh-agent       openssh-client
zstd            zstd
nginx           nginx-light
htpasswd        apache2-utils
openssl         openssl
gpg             gnupg
jq              jq
tar             tar
unshare         util-linux
gcc             gcc
python3         python3
'

missing=()
while read -r tool package; do
    [ -n "$tool" ] || continue
    command -v "$tool" >/dev/null || missing+=("$package")
done <<<"$needed"
# gcc alone cannot link a program.
if command -v gcc >/dev/null && ! echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1; then missing+=(libc6-dev); fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

install_missing() {
    command -v apt-get >/dev/null || fail "not a Debian system; install by hand what these packages hold: ${missing[*]}"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || fail "neither root nor sudo here; let somebody install: ${missing[*]}"
    # Two of the packages would start servers that listen on every address. Debian asks this file first whether they may.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
    fi
    "${as_root[@]}" apt-get update -q || fail "the package lists cannot be fetched; install by hand: ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" libc6-dev ||
        fail "these packages cannot be installed: ${missing[*]}"
}

if [ ${#missing[@]} -gt 0 ]; then
    echo "missing: ${missing[*]}"
    (install_missing)
fi

command -v cargo >/dev/null || fail "there is no cargo; install Rust 1.89 or newer"
exec cargo test --locked "$@"
