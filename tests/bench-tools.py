#!/usr/bin/env python3
"""Helpers of bench-registries.sh and soak.sh.

layout FOLDER IMAGES LAYERS BYTES [SHARED]   writes an OCI layout of images small/N:v1; SHARED of the layers are the same in all
latency UPSTREAM MS PORTFILE                 a proxy that holds every answer back for MS milliseconds
failing UPSTREAM PERCENT PORTFILE OUT        a proxy that fails PERCENT of the requests; writes what it saw to OUT when it ends
measure OUT COMMAND...                       wall seconds, CPU seconds, peak KiB, and the most resident KiB of its first and second half
holds HOST:PORT PREFIX FOLDER                asks a registry for every manifest and blob of the layout; fails if one is missing
"""
import asyncio, collections, concurrent.futures, hashlib, http.client, json, os, pathlib, random, re, signal, socket, struct, sys
import time, urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def layout(folder, images, layers, size, shared="0"):
    folder, images, layers, size, shared = pathlib.Path(folder), int(images), int(layers), int(size), int(shared)
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def put(content, kind):
        name = hashlib.sha256(content).hexdigest()
        if not (blobs / name).exists():
            (blobs / name).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content)}

    def content(noise):
        piece = noise.randbytes(min(size, 1 << 20))
        return (piece * (size // max(1, len(piece)) + 1))[:size]

    listed = []
    common = [put(content(random.Random(f"shared {n}")), "application/vnd.oci.image.layer.v1.tar") for n in range(shared)]
    for number in range(images):
        noise = random.Random(number)
        own = [put(content(noise), "application/vnd.oci.image.layer.v1.tar") for _ in range(layers - shared)]
        all_layers = common + own
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [l["digest"] for l in all_layers]}}
        config = put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": all_layers}
        entry = put(json.dumps(manifest).encode(), MANIFEST)
        listed.append({**entry, "annotations": {"org.opencontainers.image.ref.name": f"small/{number}:v1"}})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))


def announce(server, file):
    pathlib.Path(file + ".part").write_text(str(server.sockets[0].getsockname()[1]))
    os.rename(file + ".part", file)


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


async def serve(handler, portfile):
    server = await asyncio.start_server(handler, "127.0.0.1", 0, limit=1 << 18)
    announce(server, portfile)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


def latency(upstream, milliseconds, portfile):
    """An answer begins where the direction turns: HTTP/1.1 clients here do not pipeline."""
    wait = int(milliseconds) / 1000

    async def pump(reader, writer, before):
        try:
            while piece := await reader.read(1 << 18):
                await before()
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def connection(client_reader, client_writer):
        reader, writer = await asyncio.open_connection(*address(upstream), limit=1 << 18)
        asked = [False]

        async def ask():
            asked[0] = True

        async def answer():
            if asked[0]:
                asked[0] = False
                await asyncio.sleep(wait)

        await asyncio.gather(pump(client_reader, writer, ask), pump(reader, client_writer, answer))

    asyncio.run(serve(connection, portfile))


class Cut(Exception):
    """The connection is to break here."""


def failing(upstream, percent, portfile, out):
    """Resets, 500, 503, a request cut in its middle, an answer that is lost though the registry did what was asked."""
    chance, dice = float(percent) / 100, random.Random(1)
    seen, faults, commits = collections.Counter(), collections.Counter(), collections.Counter()

    async def message(reader, no_body=False):
        head = await reader.readexactly(1)
        if head == b"\x16":  # A client that tries TLS first would wait for an answer.
            raise Cut
        head += await reader.readuntil(b"\r\n\r\n")
        low = head.lower()
        if no_body:
            return head, b""
        if found := re.search(rb"\r\ncontent-length: *(\d+)", low):
            return head, await reader.readexactly(int(found[1]))
        body = b""
        if b"\r\ntransfer-encoding: chunked" in low:
            while True:
                line = await reader.readuntil(b"\r\n")
                piece = await reader.readexactly(int(line.split(b";")[0], 16) + 2)
                body += line + piece
                if len(piece) == 2:
                    break
        return head, body

    def note(method, path, status):
        path, _, query = path.partition("?")
        query = urllib.parse.parse_qs(query)
        repository = path.split("/blobs/")[0]
        if "/blobs/uploads/" in path and status == 201:
            if "mount" in query:
                seen["blobs mounted"] += 1
            elif "digest" in query:
                commits[f"{repository} {query['digest'][0]}"] += 1
        if "/manifests/" in path and method == "PUT" and status == 201:
            seen["manifests put"] += 1

    async def connection(client_reader, client_writer):
        reader = writer = None
        try:
            while True:
                head, body = await message(client_reader)
                method, path = head.split(b" ", 2)[:2]
                method, path = method.decode(), path.decode()
                seen["requests"] += 1
                seen[method] += 1
                fault = dice.choice(["reset", "500", "503", "cut", "lost answer"]) if dice.random() < chance else None
                if fault == "cut" and not body:
                    fault = "lost answer"
                faults[fault or "none"] += 1
                if fault == "reset":
                    raise Cut
                if fault in ("500", "503"):
                    client_writer.write(f"HTTP/1.1 {fault} no\r\nContent-Length: 0\r\n\r\n".encode())
                    await client_writer.drain()
                    continue
                if writer is None:
                    reader, writer = await asyncio.open_connection(*address(upstream), limit=1 << 18)
                if fault == "cut":
                    writer.write(head + body[: len(body) // 2])
                    await writer.drain()
                    raise Cut
                writer.write(head + body)
                await writer.drain()
                answer, content = await message(reader, method == "HEAD")
                status = int(answer.split(b" ", 2)[1])
                note(method, path, status)
                if fault:
                    raise Cut
                client_writer.write(answer + content)
                await client_writer.drain()
                if b"\r\nconnection: close" in answer.lower():
                    return
        except Cut:
            client_writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client_writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            client_writer.close()
            if writer:
                writer.close()

    asyncio.run(serve(connection, portfile))
    twice = {name: times for name, times in commits.items() if times > 1}
    digests = collections.Counter(name.split(" ")[1] for name in commits)
    result = {
        **seen,
        "faults": dict(faults),
        "blobs uploaded": sum(commits.values()),
        "uploaded twice into one repository": len(twice),
        "uploaded into two repositories": sum(1 for times in digests.values() if times > 1),
        "examples": dict(list(twice.items())[:5]),
    }
    pathlib.Path(out).write_text(json.dumps(result, indent=1))


def resident(pid):
    try:
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
    except (OSError, TypeError):
        return 0


def measure(out, *command):
    begin = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    samples = []
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        samples.append(resident(pid))
        time.sleep(0.02)
    wall = time.monotonic() - begin
    middle = len(samples) // 2
    halves = " ".join(str(max(half or [0])) for half in (samples[:middle], samples[middle:]))
    pathlib.Path(out).write_text(f"{wall:.3f} {usage.ru_utime + usage.ru_stime:.3f} {max(samples or [0])} {halves}\n")
    sys.exit(os.waitstatus_to_exitcode(status))


def holds(where, prefix, folder):
    folder = pathlib.Path(folder)
    wanted = []
    for entry in json.loads((folder / "index.json").read_text())["manifests"]:
        repository = prefix + entry["annotations"]["org.opencontainers.image.ref.name"].rsplit(":", 1)[0]
        manifest = json.loads((folder / "blobs" / entry["digest"].replace(":", "/")).read_text())
        wanted.append((f"/v2/{repository}/manifests/v1", entry["digest"], entry["size"]))
        for blob in [manifest["config"], *manifest["layers"]]:
            wanted.append((f"/v2/{repository}/blobs/{blob['digest']}", blob["digest"], blob["size"]))

    def ask(some):
        line, missing = http.client.HTTPConnection(*address(where)), []
        for path, digest, size in some:
            line.request("HEAD", path, headers={"Accept": MANIFEST})
            answer = line.getresponse()
            answer.read()
            told = answer.getheader("Docker-Content-Digest"), answer.getheader("Content-Length")
            if answer.status != 200 or told != (digest, str(size)):
                missing.append(f"{path}: {answer.status} {told}")
        return missing

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        missing = [line for lines in pool.map(ask, [wanted[n::4] for n in range(4)]) for line in lines]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} manifests and blobs are there")
    for line in missing[:5]:
        print(f"  missing: {line}")
    sys.exit(bool(missing))


if __name__ == "__main__":
    {f.__name__: f for f in (layout, latency, failing, measure, holds)}[sys.argv[1]](*sys.argv[2:])
