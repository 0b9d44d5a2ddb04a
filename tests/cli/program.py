"""The real program in a process of its own."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.rigs.ready import Done, Run, ready

REPOSITORY = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "connector.cli")
MODULE = "tests.cli.one_process"
ALONE = f"{MODULE}.alone()"
PACE = {
    "CONNECTOR_TAIL__QUIET_SECONDS": "0.06",
    "CONNECTOR_TAIL__POLL_SECONDS": "0.02",
    "CONNECTOR_TAIL__IDLE_POLL_SECONDS": "0.05",
    "CONNECTOR_SCAN__SEGMENTS": "1",
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PATIENCE = 120.0

Process = Run | subprocess.Popen[str]


@dataclass
class Program:
    """Runs `connector` in one folder, with an environment that holds nothing else of ours."""

    folder: Path
    url: str
    environment: dict[str, str] = field(default_factory=dict)
    database: str = ""
    """The url of a Postgres database; without it, a file in the folder."""

    @property
    def file(self) -> Path:
        """The DuckDB file, as `--to` names it."""
        return self.folder / "warehouse.duckdb"

    @property
    def to(self) -> list[str]:
        """The flag that names the destination."""
        return ["--to", self.database or f"duckdb:///{self.file}"]

    def variables(self) -> dict[str, str]:
        """The environment of a run; an empty value takes a variable away."""
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(REPOSITORY),
            "AWS_REGION": "us-west-2",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": self.url,
            **CREDENTIALS,
            **PACE,
            **self.environment,
        }
        return {name: value for name, value in variables.items() if value}

    def start(self, *arguments: str) -> Run:
        """A run that goes on; its own session, so that it can be ended with all its workers."""
        return ready(MODULE).start(ALONE, arguments, self.folder, self.variables())

    def start_from_nothing(
        self, *arguments: str, command: tuple[str, ...] = COMMAND
    ) -> subprocess.Popen[str]:
        """The same, from the very beginning of a process."""
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, command: tuple[str, ...] = ()) -> Done:
        """A run to its end; one that starts from nothing where a command is given."""
        if command:
            return ended(self.start_from_nothing(*arguments, command=command))
        return self._run(ALONE, arguments)

    def each(self, *lines: Sequence[str]) -> list[Done]:
        """Runs of one process, one after the other: for what ends before it has begun."""
        text = json.dumps([list(line) for line in lines])
        ran = self._run(f"{MODULE}.main()", [text], PATIENCE * 2)
        assert ran.code == 0, ran.stderr
        return [Done(*ended) for ended in json.loads(ran.stdout)]

    def _run(self, call: str, arguments: Sequence[str], patience: float = PATIENCE) -> Done:
        return ready(MODULE).run(call, arguments, self.folder, self.variables(), patience)

    def with_(self, **variables: str) -> "Program":
        """The same program with other variables; an empty value takes one away."""
        return replace(self, environment={**self.environment, **variables})


def ended(process: Process, asked: signal.Signals | None = None) -> Done:
    """Waits for a run's end, after a signal if one is given."""
    if asked is not None:
        process.send_signal(asked)
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError(f"the program did not end: {stderr}") from None
    return Done(process.returncode, stdout, stderr)


def assert_one_sentence(done: Done, code: int, says: str) -> None:
    """One error, one hint, no more and nothing that only a developer can read."""
    assert done.code == code, done.stderr
    (error,) = done.lines("Error: ")
    (hint,) = done.lines("Hint: ")
    assert says in error
    assert len(hint) > len("Hint: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def wait_until(condition: Callable[[], bool], process: Process | None = None) -> None:
    """Waits for a condition, as long as the process lives, if it is one that must bring it.

    What takes long to ask, such as a run of the program, is asked less often.
    """
    asked = time.monotonic()
    deadline = asked + PATIENCE
    while not condition():
        took = time.monotonic() - asked
        if time.monotonic() > deadline or (process and process.poll() is not None):
            outcome = ended(process, signal.SIGKILL) if process else "too late"
            raise AssertionError(f"it never came to that: {outcome}")
        time.sleep(max(0.01, 3 * took))
        asked = time.monotonic()


def fingerprints(folder: Path) -> Mapping[str, str]:
    """A hash of every file in a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
