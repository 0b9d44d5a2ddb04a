"""A command as a whole: wall time, processor time, and memory summed over its processes."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

SAMPLE_SECONDS = 0.05
# A program that is started in another folder would import whatever is installed.
_THIS_TREE = {"PYTHONPATH": str(Path(__file__).parent.parent)}


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and processor time, and the peak of memory of all processes together."""

    wall: float
    cpu: float
    peak_bytes: int
    began: datetime
    said: str
    """What it wrote to stderr."""

    def seconds_until(self, words: str) -> float:
        """Seconds from the start to the first log line with these words."""
        for line in self.said.splitlines():
            if words in line:
                at = datetime.fromisoformat(line[:23].replace(",", ".")).astimezone()
                return (at - self.began).total_seconds()
        raise AssertionError(f"it did not say {words!r}, but: {self.said}")


def measured(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
) -> Cost:
    """Runs a command to its end. Raises CalledProcessError, with its stderr, where it fails."""
    before = _children_seconds()
    started, began = time.monotonic(), datetime.now(UTC)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **_THIS_TREE, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_bytes(process.pid))
        time.sleep(SAMPLE_SECONDS)
    wall = time.monotonic() - started
    assert process.stderr is not None
    with process.stderr as stream:
        errors = stream.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=errors)
    return Cost(wall, _children_seconds() - before, peak, began, errors)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree_bytes(root: int) -> int:
    return sum(_resident(process) for process in _tree(root))


def _tree(root: int) -> Iterator[int]:
    yield root
    for task in _listed(Path(f"/proc/{root}/task")):
        for child in _read(Path(f"/proc/{root}/task/{task}/children")).split():
            yield from _tree(int(child))


def _listed(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        # The process has just ended.
        return ""


def _resident(process: int) -> int:
    fields = _read(Path(f"/proc/{process}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


@dataclass(frozen=True)
class Served:
    """A scripted DynamoDB with one rendered table `load`, in a process of its own."""

    url: str
    revisions: int
    """The sum of `revision` over the table once the waiting changes have arrived."""
    process: "subprocess.Popen[str]"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables with settings of a program that reads from here."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program read from here."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-west-2",
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": self.url,
            "AWS_ENDPOINT_URL_KINESIS": self.url,
            **self.settings,
        }

    def release(self) -> None:
        """Lets the waiting changes come out of the stream."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def served(
    shape: str, items: int, events: int = 0, shards: int = 4, kinesis: bool = False
) -> Iterator[Served]:
    """A server that lives as long as the block; changes wait in a stream of either kind."""
    command = [sys.executable, "-m", "tests.rigs.scripted", "--table", "load", "--shape", shape]
    command += ["--items", str(items), "--events", str(events), "--shards", str(shards)]
    command += ["--kinesis"] if kinesis else []
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        yield Served(url, int(server.stdout.readline()), server)
    finally:
        # It ends with its stdin.
        server.stdin.close()
        server.wait(timeout=30)
        server.stdout.close()


def printed(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints. Raises CalledProcessError where it fails."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
