"""R4: ministack, an emulator of DynamoDB, its streams and Kinesis, in an environment of its own.

It pins an old botocore, so it cannot be installed beside the connector. Its versions are pinned in
ministack.txt; uv fetches them once, into the cache. Where it differs from the service:

- A record in its Kinesis streams has the shape of one of a DynamoDB stream: the time in whole
  seconds, whatever precision is set; no `tableName`, but an `eventSourceARN`, which names a stream
  even if the table has none; and a sequence number of its own inside.
- A put that changes nothing is sent to Kinesis as well.
- A shard that is split or merged is gone at once, with its records, so no shard ever ends.
- An iterator that it never issued counts as expired, and a sequence number of no shard, a time in
  the future or a `Limit` above 10,000 is accepted. Reads are not limited.
- ListShards wants the stream beside `NextToken`, which the service forbids.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .emulator import Server, fetch, kept

PINNED = Path(__file__).with_suffix(".txt")
SERVICES = "dynamodb,dynamodbstreams,kinesis"


def python() -> Path:
    """The interpreter of its environment, which is made if it is not there yet."""
    digest = hashlib.sha256(PINNED.read_bytes()).hexdigest()[:12]
    version = "-".join(map(str, sys.version_info[:3]))
    return kept(f"ministack-{digest}-python-{version}", make) / "bin" / "python"


def make(folder: Path) -> Path:
    """An environment in a folder; it works wherever that is moved to."""
    home, uv = folder / "environment", [sys.executable, "-m", "uv", "--quiet"]
    fetch("uv venv", [*uv, "venv", "--python", sys.executable, str(home)], folder)
    install = [*uv, "pip", "install", "--python", str(home / "bin" / "python")]
    fetch("uv pip install", [*install, "--require-hashes", "-r", str(PINNED)], folder)
    return home


@contextmanager
def started() -> Iterator[str]:
    """Runs it in memory for as long as the block lasts; gives its address, on this machine only."""
    interpreter = str(python())
    with tempfile.TemporaryDirectory(prefix="ministack-") as folder:

        def variables(port: int) -> dict[str, str]:
            return {
                "PATH": os.environ["PATH"],
                "HOME": folder,
                "TMPDIR": folder,
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "SERVICES": SERVICES,
                "LOG_LEVEL": "WARNING",
            }

        command = [interpreter, "-m", "ministack"]
        with Server("ministack", lambda port: command, Path(folder), variables).started() as url:
            yield url
