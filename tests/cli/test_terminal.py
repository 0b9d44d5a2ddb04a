"""What is left on a terminal once a command has ended."""

import logging
import os
import pty
import re
import sys
import unicodedata
from contextlib import suppress
from threading import Thread

import pytest

from connector.cli.runs.leaving import leave_with
from connector.cli.screen.visible import visible
from tests.pipeline.replica import ORDERS
from tests.rigs import duckdb_file
from tests.rigs.ready import ready

from .program import ALONE, MODULE, Program

ERASE = b"\x1b[2K"


def on_a_terminal(program: Program, *arguments: str, code: int = 0, **variables: str) -> bytes:
    """Runs a command whose three streams are one terminal; returns all that it wrote there."""
    ours, theirs = pty.openpty()
    written: list[bytes] = []
    reading = Thread(target=read_all, args=(ours, written))
    reading.start()
    try:
        given = {"TERM": "xterm", "COLUMNS": "100"} | program.variables() | variables
        ended = ready(MODULE).run_on(
            [os.ttyname(theirs)] * 3,
            ALONE,
            [*arguments, *program.to],
            program.folder,
            given,
        )
    finally:
        os.close(theirs)
        reading.join()
        os.close(ours)
    assert ended == code, written
    return b"".join(written)


def read_all(terminal: int, written: list[bytes]) -> None:
    """Reads what is written to a terminal until nobody has it open any more."""
    # Its end is an error.
    with suppress(OSError):
        while chunk := os.read(terminal, 65_536):
            written.append(chunk)


def plain(written: bytes) -> str:
    """What was written without the colours and the movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


ODD = "a\x1b[31mb\x07c\x08d\re\x7ff\x85g\u202eh\u2066i\u200bj\ud7ff"
SHOWN = r"a\x1b[31mb\x07c\x08d\re\x7ff\x85g\u202eh\u2066i\u200bj" + "\ud7ff"
OBEYED = ("\x1b[31m", "\x07", "\x08", "d\r", "\x7f", "\x85", "\u202e", "\u2066", "\u200b")


def assert_harmless(text: str) -> None:
    """Nothing in it obeys what the data says."""
    assert not [each for each in OBEYED if each in text]


@pytest.mark.by_turns("output")
@pytest.mark.parametrize("output", ["table", "json"])
def test_no_value_and_no_name_moves_or_colours_a_terminal(synced: Program, output: str) -> None:
    sql = f"SELECT '{ODD}' AS \"{ODD}\", ['{ODD}'] AS list, '{{\"x\": \"\u202e\"}}'::JSON AS j"
    text = on_a_terminal(synced, "query", sql, "-o", output).decode()
    assert_harmless(text)
    assert ("\\u001b[31m" if output == "json" else "\\x1b[31m") in text


def test_values_stay_apart_from_their_escapes_where_there_is_no_terminal(synced: Program) -> None:
    done = synced("query", f"SELECT '{ODD}' AS v, '[red]:smile:' AS w", *synced.to)
    assert done.stdout.splitlines()[1].split("  ")[0] == SHOWN
    assert "[red]:smile:" in done.stdout


def test_no_key_that_differs_moves_or_colours_a_terminal(synced: Program) -> None:
    with duckdb_file.opened(synced.file) as connection:
        connection.execute("UPDATE orders SET id = ? WHERE id = '1'", [ODD])
    for output in ("table", "json"):
        done = synced("verify", ORDERS, "-o", output, *synced.to)
        assert done.code == 3
        assert_harmless(done.stdout + done.stderr)


def test_no_name_on_the_command_line_moves_or_colours_a_terminal(synced: Program) -> None:
    for arguments in (
        ["status", "-c", ODD],
        ["query", "-f", ODD, *synced.to],
        ["query", f'SELECT "{ODD}" FROM orders', *synced.to],
        ["status", "--to", f"duckdb:///{ODD}/x"],
        ["sync", ORDERS, "--to", f"duckdb:///{ODD}/x"],
        ["verify", ODD, *synced.to],
        ["reset", ODD, *synced.to],
    ):
        done = synced(*arguments)
        assert_harmless(done.stdout + done.stderr)
        assert "unexpected" not in done.stderr


def test_no_log_line_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    with leave_with():
        logging.getLogger("connector.test").info("%s: a\nError: %s", "orders", ODD)
    (line,) = capsys.readouterr().err.splitlines()
    assert_harmless(line)
    assert r"a\nError: a\x1b" in line


def test_what_languages_need_is_shown_as_it_is() -> None:
    for text in (
        "é",
        "नमस्ते",
        "\u0645\u06cc\u200c\u062e",
        "👩\u200d👩\u200d👧",
        "日本",
        "a\u0301",
        "\u00a0",
        "",
    ):
        assert visible(text) == text
    assert visible("a\n\tb", keep="\n") == "a\n\\tb"
    assert visible("\ud800\U000e0041") == "\\ud800\\U000e0041"


@pytest.mark.by_turns("variables", "command", at_once=5)
@pytest.mark.parametrize(
    "variables",
    [
        {"TERM": "dumb"},
        {"TERM": "no-such-terminal"},
        {"COLUMNS": "1"},
        {"COLUMNS": "20"},
        {"COLUMNS": "0"},
        {"COLUMNS": "wide"},
        {"NO_COLOR": "1"},
        {"FORCE_COLOR": "1"},
        {"LINES": "1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("command", [["tail", ORDERS], ["status"], ["query", "FROM orders"]])
def test_any_terminal_is_written_to(
    synced: Program, variables: dict[str, str], command: list[str]
) -> None:
    assert on_a_terminal(synced.with_(**variables), *command)


@pytest.mark.parametrize("columns", ["0", "1", "7", "20", "40"])
def test_a_narrow_terminal_leaves_nothing_out(synced: Program, columns: str) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    sql = f"SELECT '{letters}' AS {letters.upper()}, '{letters}' AS b"
    text = on_a_terminal(synced.with_(COLUMNS=columns), "query", sql).decode()
    for alphabet in (letters, letters.upper()):
        assert set(alphabet) <= set(text)
    assert "…" not in text


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


def test_all_that_is_not_seen_is_escaped() -> None:
    # Signs of Arabic, Kaithi and hieroglyphs are seen, whatever Unicode calls them.
    seen = re.compile(
        "[\u200c\u200d\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]"
        "|[\U00013430-\U0001343f]"
    )
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            assert (visible(character) == character) is bool(seen.match(character)), hex(code)
