"""What running another program's server takes: a place that is filled once, a port, and an end."""

import http.client
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FETCH_SECONDS = 300
START_SECONDS = 60
STARTS = 3


class Unavailable(Exception):
    """An emulator cannot be had here; the message says why."""


def cache() -> Path:
    """The folder for what is fetched once."""
    return Path(os.environ.get("CONNECTOR_CACHE") or Path.home() / ".cache" / "connector")


def kept(name: str, make: Callable[[Path], Path]) -> Path:
    """A folder of the cache; if it is not there yet, what `make` leaves in an empty one."""
    home = cache() / name
    if not home.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache(), prefix="fetching-") as folder:
            made = make(Path(folder))
            try:
                made.rename(home)
            except OSError:
                # Another test process was faster; its copy is as good as ours.
                if not home.exists():
                    raise
    return home


def fetch(tool: str, command: Sequence[str], folder: Path) -> None:
    """Runs a command that fetches something into a folder. Raises Unavailable if it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{tool} took longer than {FETCH_SECONDS} seconds") from None
    if done.returncode:
        raise Unavailable(f"{tool} failed: {(done.stderr or done.stdout).strip()[:300]}")


@dataclass(frozen=True)
class Server:
    """How an emulator is started."""

    name: str
    command: Callable[[int], Sequence[str]]
    """By its port."""
    folder: Path
    variables: Callable[[int], Mapping[str, str]] | None = None
    """All that its environment is to hold; None for that of the tests."""

    @contextmanager
    def started(self) -> Iterator[str]:
        """Runs it for as long as the block lasts; gives its address."""
        with tempfile.TemporaryFile() as log:
            process, url = self._launch(log.fileno())
            try:
                if process is None:
                    log.seek(0)
                    raise Unavailable(f"{self.name} did not start: {log.read()[-300:]!r}")
                yield url
            finally:
                if process is not None:
                    end(process)

    def _launch(self, log: int) -> tuple[subprocess.Popen[bytes] | None, str]:
        """A process that answers, and its address; a port may be lost to another meanwhile."""
        for _ in range(STARTS):
            port = free_port()
            process = subprocess.Popen(
                list(self.command(port)),
                cwd=self.folder,
                env=None if self.variables is None else dict(self.variables(port)),
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
