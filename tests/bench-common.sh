# What the measuring scripts share; they source it after `set -euo pipefail`, with $me set to what their failures begin with.
#
# It sets $here and $tools, and $SEALIFT to the binary to measure. Before anything is started, $run must be a folder of the run.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$here/tests/bench-tools.py
servers=()

stop() { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null || true; }
# Servers and folder of the run; scripts do it at their end.
cleanup() {
    local server
    for server in "${servers[@]}"; do stop "$server"; done
    rm -rf "$run"
}
fail() {
    [ ! -e "$run/servers.log" ] || tail -5 "$run/servers.log" >&2
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

# need TOOL...: all of them are there.
need() {
    local tool missing=()
    for tool; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    [ ${#missing[@]} = 0 ] || fail "missing: ${missing[*]}"
}
# The binary that is named, else a release build.
built() {
    if [ -z "${SEALIFT:-}" ]; then
        (cd "$here" && cargo build --release --locked)
        SEALIFT=$here/target/release/sealift
    fi
    SEALIFT=$(realpath "$SEALIFT")
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# await PORT: a registry answers there.
await() {
    local i
    for ((i = 0; i < 100; i++)); do
        ! curl -s -o /dev/null "http://127.0.0.1:$1/v2/" || return 0
        sleep 0.1
    done
    fail "nothing answers at port $1"
}
# written FILE: a server has said its port there; prints it.
written() {
    local i
    for ((i = 0; i < 100; i++)); do [ -e "$1" ] && break; sleep 0.1; done
    cat "$1"
}
# background COMMAND...: in the background, said to a file; sets $pid.
background() { "$@" >>"$run/servers.log" 2>&1 & pid=$!; servers+=("$pid"); }
# Each of these sets $port and $pid.
sealift_at() { # sealift_at FOLDER OPTION...
    port=$(free_port)
    background "$SEALIFT" --quiet serve "oci:$1" --plain-http --listen "127.0.0.1:$port" "${@:2}"
    await "$port"
}
registry_at() { # registry_at FOLDER [ACCESSLOG]: with its cache, as its packages configure it
    local log=${2:-/dev/null}
    port=$(free_port)
    mkdir -p "$1"
    printf '%s\n' "version: 0.1" "log: {level: error, accesslog: {disabled: $([ "$log" = /dev/null ] && echo true || echo false)}}" \
        "storage: {cache: {blobdescriptor: inmemory}, filesystem: {rootdirectory: $1}}" "http: {addr: '127.0.0.1:$port'}" >"$run/$port.yml"
    OTEL_TRACES_EXPORTER=none docker-registry serve "$run/$port.yml" >"$log" 2>>"$run/servers.log" &
    pid=$!
    servers+=("$pid")
    await "$port"
}
