"""A process that has imported what a run needs, and becomes a run as soon as it is told to.

What runs is the same code in a process of its own, with its own folder, environment, session and
end; only the second of imports, which is the same every time, is spent once. What is about the
beginning of a process, or about all the memory that it takes, starts from nothing.
"""

import atexit
import functools
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 120.0

# The child goes on after the loop, and ends as any program of Python does.
WAITING = """
import json, os, sys
import {module}

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

for line in sys.stdin:
    asked = json.loads(line)
    if "pid" in asked:
        ended, status = os.waitpid(asked["pid"], 0 if asked["wait"] else os.WNOHANG)
        print(os.waitstatus_to_exitcode(status) if ended else "lives", flush=True)
        continue
    child = os.fork()
    if child == 0:
        call, *run = asked["run"]
        become(*run)
        break
    print(child, flush=True)
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
    """A run that goes on, in a session of its own. What it writes is there once it has ended."""

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

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Ready:
    """A process that imported `module` and waits."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WAITING.format(module=module)],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
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
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")

    def _answer(self, patience: float) -> bytes:
        answers = self._process.stdout
        assert answers is not None
        if not select.select([answers], [], [], patience)[0]:
            raise TimeoutError
        return answers.readline().strip()

    def stop(self) -> None:
        """Ends the process that waits."""
        self._process.communicate()
        shutil.rmtree(self._folder)


@functools.cache
def ready(module: str) -> Ready:
    """The one process that imported this module."""
    return Ready(module)
