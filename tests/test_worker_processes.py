"""Worker processes wait for a task, and end with whoever has started them."""

import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import active_children
from pathlib import Path

import pytest

from connector.scanning.processes import forked_workers
from tests.cli.program import MODULE, PATIENCE, wait_until
from tests.rigs.ready import ready

# The script is on the command line, as that of `python -c` is.
RUNS = "exec(sys.argv[1])"
WAITS = """
import sys
from multiprocessing import active_children
from connector.scanning.processes import forked_workers
_, count, asks, tells = sys.argv[1:]
with forked_workers(3, None) as processes, open(asks) as asks, open(tells, "w") as tells:
    print(*sorted(child.pid for child in active_children()), file=tells, flush=True)
    asks.readline()
    taken = processes.take(int(count))
    print(*[worker.process.pid for worker in taken], file=tells, flush=True)
    asks.readline()
"""


def alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def succeeds(script: str, folder: Path) -> None:
    """Runs a script in a process of its own: here, the server of a test may run in a thread."""
    done = ready(MODULE).run(RUNS, [script], folder, os.environ)
    assert done.code == 0, done.stderr


class Program:
    """A program of its own that is asked and tells through two pipes."""

    def __init__(self, taken: int, folder: Path) -> None:
        pipes = [folder / "asks", folder / "tells"]
        for pipe in pipes:
            os.mkfifo(pipe)
        arguments = [WAITS, str(taken), *map(str, pipes)]
        self.process = ready(MODULE).start(RUNS, arguments, folder, os.environ)
        self._asks, self._tells = pipes[0].open("w"), pipes[1].open()
        self.waiting = self.pids()

    def pids(self) -> list[int]:
        """The next line of process ids."""
        return [int(pid) for pid in self._tells.readline().split()]

    def take(self) -> list[int]:
        """Lets the program take its processes."""
        self._asks.write("\n")
        self._asks.flush()
        return self.pids()

    def end(self) -> None:
        """Kills it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._asks.close()
        self._tells.close()


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """A program that has forked three processes, and then takes some of them."""
    started = Program(getattr(request, "param", 1), tmp_path)
    yield started
    started.end()


def test_forks_end_with_a_program_that_is_killed(program: Program) -> None:
    assert len(program.waiting) == 3 and all(map(alive, program.waiting))
    program.process.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(alive, program.waiting)))


@pytest.mark.parametrize("program", [3], indirect=True)
def test_an_interrupt_is_heard_by_the_program_alone(program: Program) -> None:
    for pid in program.waiting:
        os.kill(pid, signal.SIGINT)
    # One that had heard it would be replaced.
    assert program.take() == program.waiting
    assert all(map(alive, program.waiting))


def test_a_new_process_never_hears_an_interrupt_either(tmp_path: Path) -> None:
    script = """
import os, signal, time
from connector.scanning.pool import WorkerProcesses
taken = WorkerProcesses().take(2)
for seconds in (0.0, 0.1, 0.5, 1.5):
    time.sleep(seconds)
    for worker in taken:
        os.kill(worker.process.pid, signal.SIGINT)
time.sleep(0.2)
assert all(worker.process.is_alive() for worker in taken)
"""
    succeeds(script, tmp_path)


@pytest.mark.parametrize("program", [2], indirect=True)
def test_those_that_are_left_over_end(program: Program) -> None:
    taken = program.take()
    assert taken == program.waiting[:2]
    wait_until(lambda: not alive(program.waiting[2]))
    assert all(map(alive, taken))


@pytest.mark.parametrize("program", [4], indirect=True)
def test_what_is_missing_is_started(program: Program) -> None:
    taken = program.take()
    assert taken[:3] == program.waiting
    assert len(taken) == 4 and all(map(alive, taken))


@pytest.mark.parametrize("program", [3], indirect=True)
def test_one_that_was_killed_is_replaced(program: Program) -> None:
    os.kill(program.waiting[1], signal.SIGKILL)
    wait_until(lambda: not alive(program.waiting[1]))
    taken = program.take()
    assert taken[:2] == [program.waiting[0], program.waiting[2]]
    assert len(taken) == 3 and all(map(alive, taken))


def test_where_no_process_may_be_had_none_waits(tmp_path: Path) -> None:
    script = """
import os
from multiprocessing import active_children
from connector.scanning.pool import WorkerProcesses
asked = []
def refuse():
    asked.append(1)
    raise BlockingIOError("no more processes")
os.fork = refuse
processes = WorkerProcesses()
processes.fork(2)
assert asked == [1]
assert active_children() == [] and processes._idle == []
"""
    succeeds(script, tmp_path)


def test_two_tables_never_take_the_same_process(tmp_path: Path) -> None:
    """A program that syncs them side by side has threads, and has forked before."""
    script = """
import threading
from connector.scanning.processes import forked_workers
with forked_workers(7, None) as processes:
    together, taken = threading.Barrier(4), []
    def take():
        together.wait()
        taken.extend(processes.take(2))
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len({worker.process.pid for worker in taken}) == 8
"""
    succeeds(script, tmp_path)


def test_once_a_tail_has_begun_none_waits_any_longer(tmp_path: Path) -> None:
    script = """
from multiprocessing import active_children
from connector.scanning.processes import forked_workers
with forked_workers(3, None) as processes:
    ended = processes.closed_before(lambda rounds: rounds > 1)
    assert len(active_children()) == 3
    assert not ended(1) and ended(2)
    assert active_children() == []
"""
    succeeds(script, tmp_path)


def test_beside_another_thread_nothing_is_forked() -> None:
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait)
    thread.start()
    before = active_children()
    with forked_workers(2, None):
        assert active_children() == before
    ending.set()
    thread.join()
