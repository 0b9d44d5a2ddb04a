"""What is left on a terminal once a command has ended."""

import os
import pty
import re
import subprocess

import pytest

from tests.pipeline.replica import ORDERS

from .program import COMMAND, Program

ERASE = b"\x1b[2K"


def on_a_terminal(program: Program, *arguments: str, code: int = 0, **variables: str) -> bytes:
    """Runs a command whose three streams are one terminal; returns all that it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments, *program.to],
        cwd=program.folder,
        env={**program.variables(), "TERM": "xterm", "COLUMNS": "100", **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65_536):
            written += chunk
    except OSError:
        # The other side is closed: the command has ended.
        written += b""
    finally:
        os.close(ours)
    assert process.wait(30) == code, written
    return written


def plain(written: bytes) -> str:
    """What was written without the colours and the movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (["snapshot", ORDERS, "--full-refresh"], b"tailing"),
        (["tail", ORDERS], b"tailing"),
        (["sync", ORDERS], b"tailing"),
        (["verify", ORDERS], b"unsettled"),
    ],
    ids=["snapshot", "tail", "sync", "verify"],
)
def test_the_progress_wipes_nothing_of_the_result(
    synced: Program, command: list[str], last: bytes
) -> None:
    written = on_a_terminal(synced, *command)
    assert ERASE in written, "there was no progress to see"
    assert last in written[written.rindex(ERASE) :]


def test_a_log_line_is_whole_though_a_progress_is_shown(synced: Program) -> None:
    written = on_a_terminal(synced, "snapshot", ORDERS, "--full-refresh")
    told = written[written.index(b"items scanned") :]
    # The terminal is narrower than the line.
    assert b"the table has " in told[: told.index(ERASE)]


@pytest.mark.parametrize("command", ["sync", "tail", "status"])
def test_a_result_fits_a_terminal_of_a_hundred_columns(synced: Program, command: str) -> None:
    tables = [] if command == "status" else [ORDERS]
    lines = plain(on_a_terminal(synced, command, *tables)).splitlines()
    header, row = lines[-2:]
    assert header.split()[:2] == ["table", "phase"] and row.split()[:2] == [ORDERS, "tailing"]
    assert len(header) <= 100 and len(row) <= 100


def test_a_row_that_is_wider_than_the_terminal_is_shown_one_value_below_the_other(
    synced: Program,
) -> None:
    lines = plain(on_a_terminal(synced, "query", f"select 7 as n, '{'x' * 99}' as t")).splitlines()
    assert max(map(len, lines)) <= 100
    assert ["n", "7"] in [line.split() for line in lines]


def test_a_row_that_fits_is_a_line_of_a_table(synced: Program) -> None:
    shown = on_a_terminal(synced, "query", "select 1 as one, '[red]' as \"[b]\"").decode()
    assert [line.split() for line in shown.splitlines()][-1] == ["1", "[red]"]
    assert "[b]" in shown
