"""The tests are honest about what they leave behind and about what they leave out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORPHANS = """
import subprocess, sys
for apart in {apart}:
    made = subprocess.Popen([sys.executable, "-c", {code!r}], start_new_session=apart)
    print(made.pid)
"""


def leftovers(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A run of Python whose processes are looked after."""
    command = [sys.executable, "-m", "tests.rigs.leftovers", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_processes_that_are_left_behind_are_named_ended_and_a_failure() -> None:
    code = "import time; time.sleep(600)"
    done = leftovers("-c", ORPHANS.format(code=code, apart=[True, False]))
    assert done.returncode == 1
    assert done.stderr.count(code) == 2, done.stderr
    for pid in done.stdout.split():
        assert pid in done.stderr
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_a_process_that_ends_a_little_later_is_no_failure() -> None:
    done = leftovers("-c", ORPHANS.format(code="import time; time.sleep(1)", apart=[True]))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("code", "expected"), [("sys.exit(5)", 5), ("os.abort()", 134)])
def test_the_exit_code_is_that_of_the_tests(code: str, expected: int) -> None:
    assert leftovers("-c", f"import os, sys; {code}").returncode == expected


def test_who_ends_it_ends_the_tests() -> None:
    code = "import time; print('begun', flush=True); time.sleep(600)"
    command = [sys.executable, "-m", "tests.rigs.leftovers", "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        # The pipe is closed only once nobody can write into it.
        assert process.stdout.read() == ""


SKIPPED = """
import pytest
@pytest.mark.skip(reason={reason!r})
def test_one(): pass
def test_two(): pytest.skip({reason!r})
@pytest.fixture
def missing(): pytest.skip({reason!r})
def test_three(missing): pass
@pytest.mark.xfail
def test_four(): assert False
"""


@pytest.mark.parametrize(
    ("reason", "ci", "outcome"),
    [
        ("DynamoDB Local: Java is not installed", "true", "1 failed, 1 xfailed, 2 errors"),
        ("DynamoDB Local: Java is not installed", "", "3 skipped, 1 xfailed"),
        ("not a git clone", "true", "3 skipped, 1 xfailed"),
    ],
)
def test_in_ci_a_skip_of_what_ci_can_have_is_a_failure(
    tmp_path: Path, reason: str, ci: str, outcome: str
) -> None:
    file = tmp_path / "test_skipped.py"
    file.write_text(SKIPPED.format(reason=reason))
    plugins = ["-p", "tests.rigs.skips", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", *plugins, f"--rootdir={tmp_path}", str(file)],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
    )
    assert outcome in done.stdout.splitlines()[-1], done.stdout
    assert reason in done.stdout
    assert done.returncode == (1 if "errors" in outcome else 0)
