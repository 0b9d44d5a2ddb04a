"""`connector status` as a monitor: exit code 3 for what is late or needs a person."""

import json

import duckdb
import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs import duckdb_file
from tests.rigs.ready import Done

from .mistakes import SOON
from .program import Program, assert_one_sentence
from .test_listed_no_longer import listing
from .test_terminal import on_a_terminal, plain

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_status")

PROBLEM = "HistoryLost: Shard shard-1 is lost: its records are gone."


def by_hand(program: Program, *statements: str) -> None:
    """Changes the state as no run would."""
    with duckdb_file.opened(program.file) as connection:
        for statement in statements:
            connection.execute(statement)


def behind(program: Program, hours: float) -> None:
    """The table was read last so many hours ago."""
    by_hand(
        program,
        f"UPDATE _connector.cursors SET seen_at = now() - INTERVAL '{hours * 60} minutes' "
        "WHERE seen_at IS NOT NULL",
    )


def assert_three(done: Done, says: str) -> None:
    """The rows are printed, and one error says which table it is."""
    assert done.code == 3, done.stderr
    assert json.loads(done.stdout)
    (error,) = done.lines("Error: ")
    assert error.startswith(f"Error: {ORDERS}: ") and says in error
    assert len(done.lines("Hint: ")) == 1


@pytest.mark.parametrize(
    ("hours", "allowed", "code"),
    [(2, "1h", 3), (2, "119m", 3), (2, "121m", 0), (2, "1d", 0), (0.01, "10s", 3), (25, "24h", 3)],
)
def test_a_table_that_is_later_than_allowed_is_three(
    synced: Program, hours: float, allowed: str, code: int
) -> None:
    behind(synced, hours)
    done = synced("status", "--max-lag", allowed, "-o", "json", *synced.to)
    assert done.code == code, done.stderr
    if code:
        assert_three(done, " behind, and ")


def test_without_a_limit_no_table_is_late(synced: Program) -> None:
    behind(synced, 25)
    assert synced("status", *synced.to).code == 0


def test_how_late_is_said_as_people_say_it(synced: Program) -> None:
    behind(synced, 5.25)
    done = synced("status", "--max-lag", "90m", "-o", "json", *synced.to)
    assert_three(done, "is 5 h 15 min behind, and 1 h 30 min is allowed.")


@pytest.mark.parametrize("flags", [[], ["--max-lag", "30d"]], ids=["alone", "with a lag"])
def test_a_problem_is_three_always(synced: Program, flags: list[str]) -> None:
    by_hand(synced, f"UPDATE _connector.tables SET problem = '{PROBLEM}'")
    done = synced("status", *flags, "-o", "json", *synced.to)
    assert_three(done, PROBLEM)
    assert json.loads(done.stdout)[0]["problem"] == PROBLEM


def test_a_table_without_a_known_lag_is_late(synced: Program) -> None:
    by_hand(synced, "UPDATE _connector.cursors SET seen_at = NULL")
    assert synced("status", *synced.to).code == 0
    done = synced("status", "--max-lag", "30d", "-o", "json", *synced.to)
    assert_three(done, "no known lag")


def test_a_table_that_was_listed_and_never_synced_is_late(program: Program) -> None:
    listing(program, ORDERS)
    assert program("status", "-o", "json").code == 0
    assert_three(program("status", "--max-lag", "30d", "-o", "json"), "was never synced")
    assert not program.file.exists()


def test_a_table_that_is_no_longer_listed_is_not_late_and_its_problem_is_one(
    synced: Program,
) -> None:
    listing(synced, "customers")
    behind(synced, 30)
    done = synced("status", "--max-lag", "1h", "-o", "json")
    assert (done.code, len(done.lines("Error: "))) == (3, 1)
    assert done.lines("Error: ")[0].startswith("Error: customers: was never synced")
    by_hand(synced, f"UPDATE _connector.tables SET problem = '{PROBLEM}'")
    assert {line.split()[1] for line in synced("status").lines("Error: ")} == {f"{ORDERS}:"}


def test_a_monitor_that_watches_nothing_is_not_green(program: Program) -> None:
    assert program("status", *program.to).code == 0
    done = program("status", "--max-lag", "1h", "-o", "json", *program.to)
    assert done.code == 2
    assert "no table here" in done.lines("Error: ")[0]


@pytest.mark.parametrize("wrong", ["", "1", "h", "1 h", "-1h", "1h30m", "for ever", "1y"])
def test_what_is_no_duration_is_refused_before_anything_is_read(
    program: Program, wrong: str
) -> None:
    assert_one_sentence(program("status", f"--max-lag={wrong}", *program.to), 2, "not a duration")


def test_a_destination_that_cannot_be_asked_is_its_own_code(synced: Program) -> None:
    holder = duckdb.connect(str(synced.file))
    try:
        done = synced.with_(**SOON)("status", "--max-lag", "1h", *synced.to)
    finally:
        holder.close()
    assert_one_sentence(done, 4, "held by process")


def test_a_terminal_shows_one_line_a_table_with_durations_for_people(synced: Program) -> None:
    listing(synced, ORDERS, "customers")
    behind(synced, 2.205)
    header, *lines = plain(on_a_terminal(synced, "status")).splitlines()
    assert header.split("  ")[0] == "table" and header.split()[-1] == "problem"
    assert [line.split()[0] for line in lines] == ["customers", ORDERS]
    assert "never synced" in lines[0]
    assert "2 h 12 min" in lines[1] and "21 h 47 min" in lines[1]
    assert max(map(len, (header, *lines))) <= 100


def test_a_terminal_shows_the_kind_of_a_problem_and_the_whole_of_it_below(synced: Program) -> None:
    behind(synced, 26)
    by_hand(synced, f"UPDATE _connector.tables SET problem = '{PROBLEM}'")
    shown = plain(on_a_terminal(synced, "status", code=3))
    (line,) = [line for line in shown.splitlines() if line.startswith(ORDERS)]
    assert line.split()[-1] == "HistoryLost" and "over" in line and "1 d" not in line
    assert f"Error: {ORDERS}: needs a person. {PROBLEM}" in shown


def test_in_a_pipe_a_table_has_every_column(synced: Program) -> None:
    printed = json.loads(synced("status", "-o", "json", *synced.to).stdout)[0]
    header = synced("status", *synced.to).stdout.splitlines()[0]
    assert header.split() == list(printed)
