"""A process that has imported what a run needs, and becomes a run as soon as it is told to.

What runs is the same code in a process of its own, with its own folder, environment, session and
end; only the seconds of imports, which are the same every time, are spent once by all workers of
the tests. What is about the beginning of a process, or about all the memory that it takes, starts
from nothing.
"""

import atexit
import fcntl
import functools
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 120.0
TRIES = 3
"""One that was found may be about to end."""

FOLDER = "TESTS_READY"
"""The variable that names the folder of the sockets, which the workers of the tests share."""

GREETING = b"ready\n"
# For each worker that asks, the process that has imported forks one that makes its runs; it ends
# when the last of these has ended. A run goes on after the loop, and ends as any program of Python.
WAITING = """
import json, os, signal, socket, sys

if os.fork():
    os._exit(0)
import {module}

def forget(number, frame):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        os._exit(0)

def become(folder, environment, arguments, streams):
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams):
        way = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND
        opened = os.open(path, way | os.O_NOCTTY)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv[1:] = arguments

signal.signal(signal.SIGCHLD, forget)
with socket.socket(fileno=os.dup(0)) as listening:
    while True:
        asking, _ = listening.accept()
        if os.fork() == 0:
            break
        asking.close()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
asking.sendall({greeting})
lines = asking.makefile("r")
for line in lines:
    asked = json.loads(line)
    if "pid" in asked:
        ended, status = os.waitpid(asked["pid"], 0 if asked["wait"] else os.WNOHANG)
        answer = os.waitstatus_to_exitcode(status) if ended else "lives"
    else:
        answer = os.fork()
        if answer == 0:
            lines.close()
            asking.close()
            call, *run = asked["run"]
            become(*run)
            break
    asking.sendall(b"%s\\n" % str(answer).encode())
else:
    sys.exit()
exec(call)
"""


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str

    def lines(self, prefix: str) -> list[str]:
        """The lines of stderr that begin so."""
        return [line for line in self.stderr.splitlines() if line.startswith(prefix)]


class Run:
    """A run that goes on, in a session of its own."""

    def __init__(self, ready: "Ready", pid: int, outputs: Sequence[Path]) -> None:
        self._ready = ready
        self._outputs = outputs
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code; None as long as it goes on."""
        if self.returncode is None:
            self.returncode = self._ready.ended(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Waits for the end. Raises TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"run {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """Waits for the end; what it has written. Raises TimeoutExpired."""
        self.wait(timeout)
        stdout, stderr = (output.read_text() for output in self._outputs)
        return stdout, stderr

    def said(self) -> str:
        """What it has written to stderr so far."""
        return self._outputs[1].read_text()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Ready:
    """A process that imported `module` and waits for what this one asks."""

    def __init__(self, module: str) -> None:
        self._socket = _connected(module)
        self._answers = self._socket.makefile("rb", buffering=0)
        atexit.register(self.stop)
        self._folder = Path(tempfile.mkdtemp(prefix="ready-"))
        self._started = itertools.count()

    def run(
        self,
        call: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        patience: float = PATIENCE,
    ) -> Done:
        """A run of the code `call` to its end. One at a time."""
        with tempfile.TemporaryDirectory() as made:
            outputs = [Path(made, name) for name in ("stdout", "stderr")]
            for output in outputs:
                output.touch()
            streams = [os.devnull, *map(str, outputs)]
            code = self.run_on(streams, call, arguments, folder, environment, patience)
            texts = [output.read_text() for output in outputs]
            assert code is not None, f"it did not end: {texts[1]}"
            return Done(code, *texts)

    def run_on(
        self,
        streams: Sequence[str],
        call: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        patience: float = PATIENCE,
    ) -> int | None:
        """The code of a run on these three files, which may be a terminal; None if it stays."""
        child = self._begun(streams, call, arguments, folder, environment)
        try:
            return self.ended(child, patience)
        except TimeoutError:
            os.killpg(child, signal.SIGKILL)
            self._answer(patience)
            return None

    def start(
        self,
        call: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
    ) -> Run:
        """A run of the code `call` that goes on, beside others."""
        number = next(self._started)
        outputs = [self._folder / f"{number}.{name}" for name in ("stdout", "stderr")]
        for output in outputs:
            output.touch()
        streams = [os.devnull, *map(str, outputs)]
        return Run(self, self._begun(streams, call, arguments, folder, environment), outputs)

    def ended(self, child: int, patience: float | None = None) -> int | None:
        """The code of a run that has ended; else None, or with patience a TimeoutError."""
        self._ask({"pid": child, "wait": patience is not None})
        answer = self._answer(patience or PATIENCE)
        return None if answer == b"lives" else int(answer)

    def _begun(
        self,
        streams: Sequence[str],
        call: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
    ) -> int:
        run = [call, str(folder), dict(environment), list(arguments), list(streams)]
        self._ask({"run": run})
        return int(self._answer(PATIENCE))

    def _ask(self, asked: Mapping[str, object]) -> None:
        self._socket.sendall(json.dumps(asked).encode() + b"\n")

    def _answer(self, patience: float) -> bytes:
        if not select.select([self._answers], [], [], patience)[0]:
            raise TimeoutError
        return self._answers.readline().strip()

    def stop(self) -> None:
        """Lets the process that waits end."""
        self._answers.close()
        self._socket.close()
        shutil.rmtree(self._folder)


@functools.cache
def ready(module: str) -> Ready:
    """The one process that imported this module."""
    return Ready(module)


def _connected(module: str) -> socket.socket:
    """A connection to the process that imported the module, which is started if there is none."""
    path = Path(os.environ[FOLDER], module)
    for _ in range(TRIES):
        asking = socket.socket(socket.AF_UNIX)
        with Path(f"{path}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                asking.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                _start(module, path, asking)
        if select.select([asking], [], [], PATIENCE)[0] and _greeted(asking):
            return asking
        asking.close()
    raise RuntimeError(f"no process that imports {module} has answered; its errors stand above")


def _start(module: str, path: Path, asking: socket.socket) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        # It waits there from the beginning, so that the process ends if this one does.
        asking.connect(str(path))
        subprocess.run(
            [sys.executable, "-c", WAITING.format(module=module, greeting=GREETING)],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
            stdin=listening,
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _greeted(asking: socket.socket) -> bool:
    """Whether it has answered; the last moment of one that ends is no answer."""
    try:
        return asking.recv(len(GREETING)) == GREETING
    except ConnectionResetError:
        return False
