"""Standard streams that are closed, full, gone, or cannot show every letter."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.pipeline.replica import ORDERS, key, order
from tests.rigs import duckdb_file
from tests.rigs.scripted import ScriptedDynamoDB

from .program import COMMAND, PATIENCE, Program

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_streams")

NO_ROOM = "No space left on device"
ODD = "é😀\u202e\x1b[31m\x07\r\x7f\x85\u2028"
"""Letters, and what would move, hide or colour the letters around it."""


@dataclass(frozen=True)
class Left:
    """How a run behind a shell ended; `lines` are those of stderr."""

    code: int
    stdout: bytes
    stderr: str


EACH = (
    sys.executable,
    "-c",
    "import os, sys\n"
    "words = sys.argv[1:]\n"
    "from connector.cli import app\n"
    "from connector.cli.screen import streams\n"
    "streams.secure()\n"
    "while words:\n"
    "    end = words.index('then')\n"
    "    line, words = words[:end], words[end + 1 :]\n"
    "    code = streams.ended(app.run(line))\n"
    "    print('ended with', code, file=sys.stderr, flush=True)\n"
    "os._exit(0)\n",
)
"""Many command lines, each before a `then`, that share the streams of one process."""


def behind(
    shell: str,
    program: Program,
    *arguments: str,
    sent: bytes = b"",
    command: tuple[str, ...] = COMMAND,
) -> Left:
    """Runs the program, which is "$@" in a line of bash; the line sees the streams it makes."""
    ended = subprocess.run(
        ["bash", "-c", shell, "bash", *command, *arguments],
        cwd=program.folder,
        env=program.variables(),
        input=sent,
        capture_output=True,
        timeout=PATIENCE,
    )
    return Left(ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))


def each_behind(shell: str, program: Program, *lines: tuple[str, ...]) -> list[Left]:
    """Runs command lines in one process behind a shell; all share their stdout."""
    words = [word for line in lines for word in (*line, "then")]
    left = behind(shell, program, *words, command=EACH)
    assert left.code == 0, left.stderr
    *ended, rest = re.split(r"^ended with (\d+)\n", left.stderr, flags=re.MULTILINE)
    assert (len(ended), rest) == (2 * len(lines), ""), left.stderr
    said, codes = ended[::2], ended[1::2]
    return [Left(int(code), left.stdout, err) for code, err in zip(codes, said, strict=True)]


def count(program: Program) -> int:
    """How many orders there are."""
    with duckdb_file.opened(program.file, read_only=True) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM orders").fetchone() or (0,)
    return int(rows)


@pytest.mark.by_turns("closed", at_once=2)
@pytest.mark.parametrize(
    "closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full", "| true", "2> >(true)"]
)
def test_a_sync_does_its_work_whichever_stream_is_closed(program: Program, closed: str) -> None:
    shell = f'"$@" {closed}; exit ${{PIPESTATUS[0]}}'
    left = behind(shell, program, "sync", ORDERS, "--output", "json", *program.to)
    assert left.code == 0, left.stderr
    assert "Error" not in left.stderr
    assert count(program) == 40
    if closed in ("2>&-", "<&-", "2>/dev/full", "2> >(true)"):
        assert json.loads(left.stdout)[0]["rows"] == 40


def test_workers_of_a_run_without_streams_scan_as_any(program: Program) -> None:
    arguments = ("sync", ORDERS, "--workers", "2", "--segments", "4", *program.to)
    assert behind('"$@" <&- >&- 2>&-', program, *arguments).code == 0
    assert count(program) == 40


@pytest.mark.by_turns("closed")
@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "2>/dev/full"])
def test_a_mistake_keeps_its_code_where_nobody_can_be_told(program: Program, closed: str) -> None:
    left = behind(f'"$@" {closed}', program, "query", "select 1", *program.to)
    assert (left.code, left.stdout) == (2, b"")


@pytest.mark.by_turns("arguments")
@pytest.mark.parametrize("arguments", [["sync", ORDERS], ["query", "select 1"]], ids=lambda x: x[0])
def test_a_result_that_cannot_be_written_is_said_and_what_was_done_stays(
    synced: Program, rig: ScriptedDynamoDB, arguments: list[str]
) -> None:
    rig.model(ORDERS).put(order("new"))
    left = behind('"$@" >/dev/full', synced, *arguments, *synced.to)
    rig.model(ORDERS).delete(key("new"))
    assert_no_room(left)
    assert count(synced) == (41 if arguments[0] == "sync" else 40)


def test_a_help_that_cannot_be_written_is_said(program: Program) -> None:
    assert_no_room(behind('"$@" >/dev/full', program, "-h"))


def assert_no_room(left: Left) -> None:
    """One error says it, and the code that trying again may help."""
    (error,) = [line for line in left.stderr.splitlines() if line.startswith("Error: ")]
    assert NO_ROOM in error
    assert left.code == 4


@pytest.mark.by_turns("full")
@pytest.mark.parametrize("full", [">/dev/full", ">&-", "| true"])
def test_a_mismatch_is_a_mismatch_also_where_its_report_cannot_be_written(
    synced: Program, full: str
) -> None:
    with duckdb_file.opened(synced.file) as connection:
        connection.execute("DELETE FROM orders WHERE id = '1'")
    shell = f'"$@" {full}; exit ${{PIPESTATUS[0]}}'
    assert behind(shell, synced, "verify", ORDERS, *synced.to).code == 3


def test_a_reader_that_has_enough_is_no_error(synced: Program) -> None:
    sql = "SELECT repeat('x', 1000) AS x FROM range(1000)"
    shell = '"$@" | head -n 1; exit ${PIPESTATUS[0]}'
    left = behind(shell, synced, "query", sql, *synced.to)
    assert (left.code, left.stderr) == (0, "")
    assert left.stdout.split() == [b"x"]


def test_an_answer_on_a_terminal_that_does_not_block_is_whole(synced: Program) -> None:
    # Whoever shares the pipe has made it so; this one is smaller than the answer.
    nonblocking = (
        '"$1" -c \'import os; os.set_blocking(1, False); os.execvp(os.sys.argv[1], '
        'os.sys.argv[1:])\' "$@" | { sleep 0.5; wc -c; }'
    )
    sql = "SELECT repeat('x', 1000) AS x FROM range(1000)"
    left = behind(nonblocking, synced, "query", sql, *synced.to)
    assert int(left.stdout) == 1001 * 1001


ENCODINGS = {
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "UTF-16": {"PYTHONIOENCODING": "utf-16"},
    "UTF-8 with a mark": {"PYTHONIOENCODING": "utf-8-sig"},
    "strict": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an unknown locale": {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
}


@pytest.mark.by_turns("variables", at_once=2)
@pytest.mark.parametrize("variables", ENCODINGS.values(), ids=ENCODINGS)
def test_whatever_stdout_can_show_json_stays_json_and_nothing_fails_on_it(
    synced: Program, variables: dict[str, str]
) -> None:
    program = synced.with_(**variables)
    sql = f"SELECT '{ODD}' AS \"ü\""
    lines: tuple[tuple[tuple[str, ...], int], ...] = (
        (("query", sql, "-o", "json", *program.to), 0),
        (("query", sql, *program.to), 0),
        (("query", "SELECT é", *program.to), 2),
        (("status", "--nö"), 2),
        (("sync", "--help"), 0),
    )
    # One after the other on the same streams; each of them alone is a process in other tests.
    ended = each_behind('"$@"', program, *(line for line, _ in lines))
    assert [left.code for left in ended] == [code for _, code in lines], ended
    said = "".join(left.stderr for left in ended)
    assert "Traceback" not in said
    assert "unexpected" not in said.lower()
    assert not set(b"\x1b\x07\r\x7f") & set(ended[0].stdout)
    # Only the JSON is UTF-8 wherever it goes.
    shown = ended[0].stdout.decode(errors="replace")
    rows, end = json.JSONDecoder().raw_decode(shown)
    assert rows == [{"ü": ODD}]
    if shutil.which("jq"):
        text = subprocess.run(
            ["jq", "-r", ".[][]"], input=shown[:end].encode(), capture_output=True
        )
        assert text.stdout.decode() == ODD + "\n"
