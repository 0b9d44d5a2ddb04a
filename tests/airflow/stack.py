"""Airflow as processes of its own, in a home that the documentation's commands have made."""

import functools
import html
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, text

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "airflow.md"
STOP_SECONDS = 5
HEALTHCHECKS = (
    "airflow jobs check --job-type SchedulerJob --local",
    "airflow jobs check --job-type DagProcessorJob --local",
)
# Without the last of these flags it looks for its maker's servers.
BROWSER = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--virtual-time-budget=20000",
    "--window-size=1500,900",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FOREIGN = ("AIRFLOW", "CONNECTOR_", "AWS_", "_AIRFLOW", "PYTEST")


def page_blocks() -> list[str]:
    """The shell blocks of the page, from an empty home to a synced table."""
    section = PAGE.read_text().partition("## From nothing")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def environment(home: Path, source: str) -> dict[str, str]:
    """What a user has in the shell, and what lets Airflow share this machine with other tests."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": "",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_DYNAMODB": source,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": source,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        # By default a task fails if it waits five seconds for an answer, as on a busy machine.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
        # Nobody changes a DAG file here, and to look at one again costs seconds.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Waits until it holds; an AssertionError where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} seconds"
        time.sleep(0.3)


def kill_session(session: int) -> None:
    """Kills every process of a session: tasks have process groups of their own.

    One that was still alive may have started another meanwhile, so they are looked for again.
    """
    while alive := living(session):
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def living(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; the fields that follow do not.
            state, _, _, of, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of) == session and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


@functools.cache
def _engine(url: str) -> Engine:
    """Who waits asks again and again; to make one takes longer than most answers."""
    return create_engine(url, poolclass=NullPool)


@dataclass
class Stack:
    """A user's shell, and the processes that were started from it."""

    folder: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The AIRFLOW_HOME."""
        return Path(self.environment["AIRFLOW_HOME"])

    def shell(self, script: str, seconds: float = 300) -> str:
        """Runs commands as one shell would, and keeps what they export."""
        exported = self.folder / "exported"
        done = subprocess.run(
            ["bash", "-euc", f"{script}\nenv -0 > {exported}"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        pairs = (each.partition("=") for each in exported.read_text().split("\0") if each)
        self.environment = {name: value for name, _, value in pairs}
        return done.stdout

    def start(self, command: str, **more: str) -> None:
        """Starts a process in a session of its own, so that it can be stopped with its children."""
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            self.processes[command] = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=ROOT,
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def get_ready(self, seconds: float) -> None:
        """Has `airflow` and `connector` taken from a process that imports them once, now."""
        folder = self.folder / "bin"
        folder.mkdir()
        self.start(f"{sys.executable} -m tests.airflow.ready_airflow {folder}")
        self.environment["PATH"] = f"{folder}:{self.environment['PATH']}"
        wait("a ready Airflow", (folder / "airflow").exists, seconds)

    def stop(self) -> None:
        """Ends every process, by its group; what does not hear is killed."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            kill_session(process.pid)
            process.wait()

    def answers(self) -> bool:
        """Whether the api-server is up."""
        address = f"{self.environment['AIRFLOW__API__BASE_URL']}/api/v2/version"
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def page(self, path: str, seconds: float = 60) -> str:
        """The text of a page of the user interface, as a browser shows it once it is there."""
        address = self.environment["AIRFLOW__API__BASE_URL"] + path
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run(
                [*BROWSER, f"--user-data-dir={profile}", "--dump-dom", address],
                capture_output=True,
                text=True,
                timeout=seconds,
                check=True,
            )
        text = re.sub(r"<(script|style).*?</\1>", "", done.stdout, flags=re.DOTALL)
        return html.unescape(re.sub(r"<[^>]+>", "", text))

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of Airflow's own database."""
        url = self.environment.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        with _engine(url or f"sqlite:///{self.home}/airflow.db").connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def states(self, dag_id: str) -> list[str]:
        """The states of a DAG's runs."""
        return [
            str(state)
            for (state,) in self.ask(f"select state from dag_run where dag_id = '{dag_id}'")
        ]

    def log(self) -> str:
        """The end of what the processes have printed."""
        return "\n".join(
            f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}"
            for file in sorted(self.folder.glob("*.log"))
        )


@contextmanager
def shell(folder: Path, source: str, more: Mapping[str, str]) -> Iterator[Stack]:
    """A shell in an empty home; whatever is started from it ends with the block."""
    stack = Stack(folder, environment(folder, source) | dict(more))
    try:
        yield stack
    except BaseException:
        print(stack.log())
        raise
    finally:
        stack.stop()
