"""A process that has imported what a run needs, and becomes a run as soon as it is told to.

What runs is the same code in a process of its own, with its own folder, environment, session and
end; only the half second of imports, which is the same every time, is spent once. Runs that are
followed or signalled start from nothing, and so do those of the demo.
"""

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

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
    child = os.fork()
    if child == 0:
        call, *run = json.loads(line)
        become(*run)
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
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

    def run(
        self,
        call: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        patience: float = 120.0,
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
        patience: float = 120.0,
    ) -> int | None:
        """The code of a run on these three files, which may be a terminal; None if it stays."""
        wanted = [call, str(folder), dict(environment), list(arguments), list(streams)]
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        child = self._number(patience)
        try:
            return self._number(patience)
        except TimeoutError:
            os.killpg(child, signal.SIGKILL)
            self._number(patience)
            return None

    def _number(self, patience: float) -> int:
        answers = self._process.stdout
        assert answers is not None
        if not select.select([answers], [], [], patience)[0]:
            raise TimeoutError
        return int(answers.readline())

    def stop(self) -> None:
        """Ends the process that waits."""
        self._process.communicate()


@functools.cache
def ready(module: str) -> Ready:
    """The one process that imported this module."""
    return Ready(module)
