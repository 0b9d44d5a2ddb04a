"""What `connector query` says of a query that a database refuses: the database's own sentence."""

import json

import pytest

from tests.rigs.postgres import Database

from .mistakes import SOON
from .program import Program

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_query_errors")

SECRET = "s3cret"
READ = "can only read"
NO_STATEMENT = "There is no statement"
SEVERAL = "One statement at a time"

CASES = {
    "a conversion": ("select cast('n/a' as integer)", "'n/a'", '"n/a"'),
    "a conversion of rows": ("select cast(id || 'x' as integer) from orders", "'…'", '"…"'),
    "a division": ("select 1 % 0", "Division by zero", "division by zero"),
    "a large number": (
        "select cast(4000000000 * n as integer) from orders",
        "Type INT64 with value … can't be cast",
        "integer out of range",
    ),
    "a missing column": (
        "select idd from orders",
        'Candidate bindings: "id"',
        'Perhaps you meant to reference the column "orders.id".',
    ),
    "a missing table": ("select 1 from ordres", 'Did you mean "orders"?', '"ordres" does not'),
    "a missing schema": ("select 1 from nowhere.orders", "nowhere", "nowhere"),
    "a missing function": ("select lenght(id) from orders", '"length"', "lenght(text) does not"),
    "a syntax error": ("select\n  id,\n  from orders where where", "LINE 3: ", "LINE 3: "),
    "an open string": ("select 'x", "unterminated string", "unterminated quoted string"),
    "wrong types": ("select id + true from orders", "explicit type casts", "does not exist"),
    "no group": ("select id, count(*) from orders", "GROUP BY", "GROUP BY"),
    "two rows": ("select (select id from orders)", "More than one row", "more than one row"),
    "a delete": ("delete from orders", READ, READ),
    "a new table": ("create table x (a int)", READ, READ),
    "an explained delete": ("explain analyze delete from orders", READ, READ),
    "an update": ("update orders set n = 1", READ, READ),
    "two statements": ("select 1; select 2", SEVERAL, SEVERAL),
    "a semicolon": (";", NO_STATEMENT, NO_STATEMENT),
    "a comment": ("/* x */", NO_STATEMENT, NO_STATEMENT),
    "a parameter": ("select $1", "it has parameters", "it has parameters"),
    "a copy": ("copy orders to '/tmp/x.csv'", "Permission Error", "permission denied to COPY"),
    "a setting": ("set threads = 4", "configuration has been locked", 'parameter "threads"'),
}
DUCKDB = {
    "attach": ("attach 'x.duckdb'", "Permission Error"),
    "install": ("install httpfs", "Permission Error"),
    "load": ("load httpfs", "Loading external extensions is disabled"),
    "pragma": ("pragma threads=4", "configuration has been locked"),
    "a file": ("select * from read_csv('/etc/passwd')", 'Cannot access file "/etc/passwd"'),
    "a commit": ("commit", "no transaction is active"),
    "a format": ("select strptime(id || 'x', '%Y') from orders", "Could not parse string"),
}


def refused(program: Program, sql: str, says: str, code: int = 2) -> str:
    """One sentence of the database, one hint, and nothing that a terminal would obey."""
    done = program("query", sql, *program.to)
    assert done.code == code, done.stderr
    (error,) = done.lines("Error: ")
    (hint,) = done.lines("Hint: ")
    assert says in done.stderr, done.stderr
    assert len(hint) > len("Hint: ")
    if says != READ:
        assert "The query writes" not in error
    assert done.stdout == ""
    assert all(each.isprintable() or each == "\n" for each in done.stderr)
    for word in ("Traceback", "nexpected", SECRET):
        assert word not in done.stderr
    return done.stderr


@pytest.mark.parametrize(("sql", "says"), [(s, d) for s, d, _ in CASES.values()], ids=CASES)
def test_a_file_says_it_in_its_own_words(synced: Program, sql: str, says: str) -> None:
    refused(synced, sql, says)


@pytest.mark.parametrize(("sql", "says"), DUCKDB.values(), ids=DUCKDB)
def test_a_file_says_what_it_does_not_allow(synced: Program, sql: str, says: str) -> None:
    refused(synced, sql, says)


def test_a_file_says_that_memory_is_short(synced: Program) -> None:
    sql = "select list(range order by hash(range)) from range(3000000)"
    small = synced.with_(CONNECTOR_DESTINATION__MEMORY_LIMIT="20MB")
    assert "destination.memory_limit" in refused(small, sql, "Out of Memory Error")


@pytest.fixture
def server(postgres: Database, synced: Program) -> Program:
    """The program with a database that a reader with a password asks."""
    postgres.by_hand(
        "CREATE TABLE orders (id text, n bigint)",
        "INSERT INTO orders VALUES ('1', 1), ('2', 2)",
        "CREATE TABLE hidden (a int)",
    )
    postgres.role(
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT ON orders TO {role}",
        password=SECRET,
    )
    url = postgres.as_user(f"{postgres.roles[-1]}:{SECRET}")
    return Program(synced.folder, synced.url, SOON, database=url)


def test_a_server_says_it_in_its_own_words(server: Program) -> None:
    for sql, _, says in CASES.values():
        refused(server, sql, says)


def test_a_server_says_who_may_not_and_what_took_too_long(
    server: Program, postgres: Database
) -> None:
    refused(server, "select * from hidden", "permission denied for table hidden")
    postgres.by_hand(f"ALTER ROLE {postgres.roles[-1]} SET statement_timeout = '200ms'")
    refused(server, "select pg_sleep(60)", "due to statement timeout", 4)


@pytest.mark.parametrize("sql", ["select\n\tid,\n\té from from x", "/* y */\nselect 1 from from"])
def test_the_mark_is_below_the_mistake(synced: Program, server: Program, sql: str) -> None:
    for program in (synced, server):
        lines = refused(program, sql, "LINE ").splitlines()
        (at,) = [place for place, line in enumerate(lines) if line.startswith("LINE ")]
        assert lines[at].startswith(f"LINE {len(sql.splitlines())}: ")
        assert lines[at][lines[at + 1].index("^") :].startswith("from")


def test_what_a_query_answers_is_as_before(synced: Program) -> None:
    done = synced("query", "select count(*) as n from orders", "-o", "json", *synced.to)
    assert json.loads(done.stdout) == [{"n": 40}]
