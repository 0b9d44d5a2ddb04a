"""Where `connector query` takes its statement from."""

import json
import os
import threading
from pathlib import Path

import pytest

from .program import Program
from .test_streams import behind

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_query_input")

SQL = b"SELECT 1 AS \xc3\xa9; -- done\n"
ROW = [{"é": 1}]


@pytest.mark.by_turns("arguments", "mark", at_once=2)
@pytest.mark.parametrize(
    "arguments", [[], ["-"], ["--file", "-"], ["-f", "/dev/stdin"]], ids=lambda each: " ".join(each)
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
def test_a_statement_comes_from_standard_input(
    synced: Program, arguments: list[str], mark: bytes
) -> None:
    left = behind('"$@"', synced, "query", *arguments, "-o", "json", *synced.to, sent=mark + SQL)
    assert left.code == 0, left.stderr
    assert json.loads(left.stdout) == ROW


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
def test_a_statement_comes_from_a_file(synced: Program, mark: bytes) -> None:
    (synced.folder / "a.sql").write_bytes(mark + SQL)
    done = synced("query", "--file", "a.sql", "-o", "json", *synced.to)
    assert json.loads(done.stdout) == ROW


def test_a_statement_comes_from_a_pipe_that_is_slow(synced: Program) -> None:
    pipe = synced.folder / "pipe"
    os.mkfifo(pipe)
    writer = threading.Timer(0.3, lambda: pipe.write_bytes(SQL))
    writer.start()
    done = synced("query", "--file", "pipe", "-o", "json", *synced.to)
    writer.join()
    assert json.loads(done.stdout) == ROW


def latin(folder: Path) -> None:
    """A file in another encoding."""
    (folder / "x").write_bytes("SELECT 'é'".encode("latin-1"))


def wide(folder: Path) -> None:
    """A file in UTF-16."""
    (folder / "x").write_text("SELECT 1", encoding="utf-16")


def loop(folder: Path) -> None:
    """A link to itself."""
    (folder / "x").symlink_to("x")


WRONG = {
    "absent": (lambda folder: None, "There is no file x"),
    "empty": (lambda folder: (folder / "x").write_text(" \n"), "no statement in x"),
    "a comment": (lambda folder: (folder / "x").write_text("-- x"), "no statement"),
    "a folder": (lambda folder: (folder / "x").mkdir(), "x cannot be read"),
    "Latin-1": (latin, "x is not UTF-8"),
    "UTF-16": (wide, "x is not UTF-8"),
    "a loop": (loop, "x cannot be read"),
}


@pytest.mark.parametrize(("make", "says"), WRONG.values(), ids=WRONG)
def test_a_file_without_a_statement_is_refused(synced: Program, make, says: str) -> None:
    make(synced.folder)
    done = synced("query", "-f", "x", *synced.to)
    assert done.code == 2
    (error,) = done.lines("Error: ")
    assert says in error
    assert len(done.lines("Hint: ")) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["SELECT 1", "-f", "x"], "exclude each other"),
        (["-", "-f", "x"], "exclude each other"),
        ([], "no statement on standard input"),
        ([""], "no statement on the command line"),
        (["-f", ""], "names no file"),
        (["-f", "x" * 300], "cannot be read: File name too long"),
    ],
)
def test_a_command_line_without_one_statement_is_refused(
    synced: Program, arguments: list[str], says: str
) -> None:
    done = synced("query", *arguments, *synced.to)
    assert done.code == 2, done.stderr
    (error,) = done.lines("Error: ")
    assert says in error


def test_bytes_that_are_no_text_are_refused(synced: Program) -> None:
    for shell in ("\"$@\" $'\\xff'", "\"$@\" - <<< $'\\xff'"):
        left = behind(shell, synced, "query", *synced.to)
        assert left.code == 2, left.stderr
        assert "not UTF-8" in left.stderr
