"""Every mistake that a run can meet: what is wrong, and what the program must say of it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import duckdb

from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.rigs import duckdb_file
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .program import Program


def nothing(program: Program, rig: ScriptedDynamoDB) -> AbstractContextManager[None]:
    """Nothing is prepared."""
    return contextmanager(lambda: iter([None]))()


Preparation = Callable[[Program, ScriptedDynamoDB], AbstractContextManager[None]]


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and what the program must say."""

    code: int
    says: str
    arguments: tuple[str, ...] = ("sync", ORDERS)
    variables: dict[str, str] = field(default_factory=dict)
    prepare: Preparation = nothing


def prepared(prepare: Callable[[Program, ScriptedDynamoDB], Iterator[None]]) -> Preparation:
    """A preparation that ends with the test."""
    return contextmanager(prepare)


def table(view: str | None) -> Preparation:
    """Another table, with this stream or none."""

    @prepared
    def prepare(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
        rig.create_table("others", SCHEMA, view=view).put(order(1))
        yield
        rig.delete_table("others")

    return prepare


def failing(effect: faults.Effect, on: str) -> Preparation:
    """Every such call fails so."""

    @prepared
    def prepare(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
        rig.faults.add(effect, on=on, times=10_000)
        yield

    return prepare


def configured(text: str) -> Preparation:
    """A configuration file with this text."""

    @prepared
    def prepare(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
        (program.folder / "connector.yaml").write_text(text)
        yield

    return prepare


@prepared
def held(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
    """Another process has the DuckDB file open."""
    with duckdb_file.held(program.file):
        yield


@prepared
def no_duckdb(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
    """The file is another kind of file."""
    program.file.write_bytes(b"id,n\n1,2\n" * 1000)
    yield


@prepared
def newer_state(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
    """A later version has written the state."""
    with duckdb.connect(str(program.file)) as connection:
        connection.execute("UPDATE _connector.tables SET state_version = 99")
    yield


@prepared
def both_spellings(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
    """Nobody can say which file holds."""
    for name in ("connector.yaml", "connector.yml"):
        (program.folder / name).write_text("tables: {orders: {}}")
    yield


@prepared
def taken(program: Program, rig: ScriptedDynamoDB) -> Iterator[None]:
    """Another source table is configured to go where the orders are."""
    rig.create_table("others", SCHEMA)
    (program.folder / "connector.yaml").write_text("tables: {others: {into: ORDERS}}")
    yield
    rig.delete_table("others")


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


SOON = {"CONNECTOR_SOURCE__RETRY_SECONDS": "0.2", "CONNECTOR_DESTINATION__LOCK_TIMEOUT": "0.2"}
NOWHERE = {
    name: closed_port()
    for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS")
}
ANONYMOUS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
OTHERS = ("sync", "others")
TAIL = ("tail", ORDERS)
UNKNOWN_KEY = "tables: {orders: {}}\ndestinatoin: {url: x}\n"
SAME_NAME = "tables: {orders: {}, others: {into: orders}}\n"

MISTAKES = {
    "no such table": Mistake(2, "There is no table others", OTHERS),
    "stream off": Mistake(2, "stream", OTHERS, prepare=table(None)),
    "stream of an unknown view type": Mistake(
        2, "does not know", OTHERS, prepare=table("LAST_IMAGE")
    ),
    "no credentials": Mistake(2, "credentials", variables=ANONYMOUS),
    "no such profile": Mistake(2, "profile", variables={"AWS_PROFILE": "nobody"}),
    "access denied": Mistake(
        2, "AWS refused DescribeTable", prepare=failing(faults.access_denied(), "DescribeTable")
    ),
    "access to the stream denied": Mistake(
        2,
        "AWS refused DescribeStream",
        TAIL,
        prepare=failing(faults.access_denied(), "DescribeStream"),
    ),
    "unknown key": Mistake(2, "destinatoin", prepare=configured(UNKNOWN_KEY)),
    "two tables of one name": Mistake(2, "be written to orders", prepare=configured(SAME_NAME)),
    "both spellings of the file": Mistake(
        2, "both connector.yaml and connector.yml", prepare=both_spellings
    ),
    "no such file": Mistake(2, "gone.yaml", variables={"CONNECTOR_CONFIG": "gone.yaml"}),
    "a name that is taken": Mistake(2, "others", OTHERS, prepare=taken),
    "file held": Mistake(4, "held by process", variables=SOON, prepare=held),
    "no DuckDB file": Mistake(2, "is not a DuckDB file", prepare=no_duckdb),
    "newer state": Mistake(2, "version 99", prepare=newer_state),
    "source unreachable": Mistake(4, "did not answer", variables=SOON | NOWHERE),
    "source talking nonsense": Mistake(
        4, "lacks", variables=SOON, prepare=failing(faults.html(), "DescribeTable")
    ),
    "source answering a list": Mistake(
        4, "DynamoDB", variables=SOON, prepare=failing(faults.wrong_body(b"[]"), "DescribeTable")
    ),
    "source answering null": Mistake(
        4,
        "lacks",
        TAIL,
        SOON,
        failing(faults.wrong_body(b"null"), "DescribeStream"),
    ),
}

LINES = {
    "no such command": (("snyc", ORDERS), "No such command"),
    "no such option": (("sync", ORDERS, "--jbos", "2"), "--jbos"),
    "an option without its value": (("sync", "--to"), "--to"),
    "a value for a switch": (("snapshot", ORDERS, "--yes=1"), "--yes"),
    "another value than there is": (("status", "-o", "xml"), "xml"),
    "no number": (("sync", ORDERS, "--jobs", "many"), "--jobs"),
    "a number out of range": (("verify", ORDERS, "--segments", "0"), "--segments"),
    "a table for all": (
        ("status", ORDERS),
        f"more arguments than the command takes: {ORDERS}",
    ),
    "two statements": (("query", "SELECT 1", "SELECT 2"), "SELECT 2"),
    "no table": (("reset",), "table"),
    "not a duration": (("tail", ORDERS, "--for", "soon"), "soon"),
    "two ends": (("tail", ORDERS, "--for", "1s", "--follow"), "exclude each other"),
    "a comment first": (("query", "-- all of them\nSELECT 1"), "begins with --"),
}
"""Command lines that no command takes, and what the program must say of each."""
