"""The answer to a query holds every value, as JSON and as a table, on both databases."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connector.cli.runs.flags import Output
from connector.cli.screen.output import Printer
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.queries.answers import distinct
from connector.errors import ConfigError, QueryFailed
from connector.ports import Destination
from tests.rigs.postgres import Database

pytestmark = pytest.mark.by_turns("destination")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> DuckDBDestination:
    """A DuckDB file with a table."""
    path: Path = tmp_path_factory.mktemp("answers") / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('fine', 'bad')")
        connection.execute(
            "CREATE TABLE t AS SELECT range AS n, 'infinity'::DATE AS d FROM range(9)"
        )
    return DuckDBDestination(path)


@pytest.fixture
def server(postgres: Database) -> PostgresDestination:
    """A database with a table and types that the driver has not read."""
    postgres.by_hand(
        "CREATE TYPE mood AS ENUM ('fine', 'bad')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN price AS money",
        "CREATE TYPE span AS RANGE (subtype = float8)",
        "CREATE TABLE t AS SELECT n, 'infinity'::date AS d FROM generate_series(0, 8) AS n",
    )
    return PostgresDestination(postgres.parsed)


def as_json(destination: Destination, sql: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `--output json` prints; numbers are left as they were written."""
    text = printed(destination, sql, Output.json, monkeypatch)
    return json.loads(text, parse_float=str, parse_constant=refuse)


def refuse(word: str) -> None:
    """NaN and Infinity are no JSON, though Python reads them."""
    raise AssertionError(word)


def printed(
    destination: Destination, sql: str, output: Output, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What a query prints where stdout is no terminal."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8", newline=""))
        Printer(output).arrow(destination.query(sql))
        sys.stdout.flush()
        written: bytes = sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]
    return written.decode()


DUCKDB = {
    "'290000-01-01'::TIMESTAMP": "290000-01-01 00:00:00",
    "'infinity'::TIMESTAMP": "infinity",
    "'-infinity'::TIMESTAMPTZ": "-infinity",
    "'4713-01-01 (BC)'::TIMESTAMPTZ": "4713-01-01 (BC) 00:00:00+00",
    "'infinity'::DATE": "infinity",
    "'0000-01-01'::DATE": "0001-01-01 (BC)",
    "'290000-01-01'::TIMESTAMP_S": "290000-01-01 00:00:00",
    "'2024-01-01 00:00:00.123456789'::TIMESTAMP_NS": "2024-01-01 00:00:00.123456789",
    "'2024-01-02'::DATE": "2024-01-02",
    "'2024-01-02 03:04:05.5'::TIMESTAMP": "2024-01-02T03:04:05.500000",
    "'2024-01-02 03:04:05'::TIMESTAMPTZ": "2024-01-02T03:04:05Z",
    "'12:00:00.123456789'::TIME_NS": "12:00:00.123456789",
    "'24:00:00'::TIME": "24:00:00",
    "'12:00:00+01'::TIMETZ": "12:00:00+01",
    "INTERVAL '1 month 2 days 3 us'": "1 month 2 days 00:00:00.000003",
    "[INTERVAL 1 DAY]": ["1 day"],
    "['infinity'::TIMESTAMP, now()]": None,
    "170141183460469231731687303715884105727::HUGEINT": 170141183460469231731687303715884105727,
    "340282366920938463463374607431768211455::UHUGEINT": 340282366920938463463374607431768211455,
    f"{'9' * 90}::BIGNUM": int("9" * 90),
    f"[{'9' * 90}::BIGNUM]": [int("9" * 90)],
    "1.10::DECIMAL(38, 10)": "1.1000000000",
    "0::DECIMAL(38, 10)": "0.0000000000",
    "[1.10::DECIMAL(9, 2)]": ["1.10"],
    "0.1::FLOAT": "0.1",
    "[0.1::FLOAT, NULL, 'nan'::FLOAT]": ["0.1", None, "NaN"],
    "'nan'::DOUBLE": "NaN",
    "'inf'::FLOAT": "Infinity",
    "{'a': '-inf'::DOUBLE}": {"a": "-Infinity"},
    "'0101'::BIT": "0101",
    "'\\x00\\xFF'::BLOB": "AP8=",
    "'00000000-0000-0000-0000-000000000001'::UUID": "00000000-0000-0000-0000-000000000001",
    "'fine'::mood": "fine",
    "['fine'::mood]": ["fine"],
    "[[1, 2], [3]]": [[1, 2], [3]],
    "array_value(1, 2)": [1, 2],
    "row(1, 'a')": "(1, a)",
    "{'a': 1, 'b \"c': INTERVAL 1 DAY}": {"a": 1, 'b "c': "1 day"},
    "MAP {1: 'a', 2: 'b'}": {"1": "a", "2": "b"},
    "MAP {[1]: INTERVAL 1 DAY}": {"[1]": "1 day"},
    "MAP {'a': '{\"b\": 1}'::JSON}": {"a": {"b": 1}},
    "['{\"a\": 1}'::JSON, NULL]": [{"a": 1}, None],
    "{'j': '[1.10]'::JSON}": {"j": ["1.10"]},
    "union_value(num := 1)": {"num": 1},
    f"['{'9' * 40}.{'9' * 40}'::JSON]": ["9" * 40 + "." + "9" * 40],
    "[{'a': [MAP {'x': '1.10'::JSON}]}]": [{"a": [{"x": "1.10"}]}],
    "[1::VARIANT, {'a': 1.10}::VARIANT]": [1, {"a": "1.10"}],
    "[{'t': 'infinity'::DATE, 'j': '1'::JSON}]": [{"t": "infinity", "j": 1}],
    "{'a': 1.10}::VARIANT": {"a": "1.10"},
    "to_json('nan'::DOUBLE)": "NaN",
    "'POINT(1 2)'::GEOMETRY": "POINT (1 2)",
    "chr(0)": "\0",
    "NULL": None,
    "'[red]:smile:'": "[red]:smile:",
}

POSTGRES = {
    "'290000-01-01'::timestamp": "290000-01-01 00:00:00",
    "'infinity'::timestamp": "infinity",
    "'-infinity'::timestamptz": "-infinity",
    "'4713-01-01 BC'::timestamptz": "4713-01-01 00:00:00+00 BC",
    "'infinity'::date": "infinity",
    "'0044-03-15 BC'::date": "0044-03-15 BC",
    "'2024-01-02'::date": "2024-01-02",
    "'2024-01-02 03:04:05.5'::timestamp": "2024-01-02T03:04:05.500000",
    "'2024-01-02 03:04:05'::timestamptz": "2024-01-02T03:04:05Z",
    "'24:00:00'::time": "24:00:00",
    "'12:00:00.5+01'::timetz": "12:00:00.5+01",
    "interval '1 month 2 days 3 microseconds'": "1 mon 2 days 00:00:00.000003",
    "1.5::money": "$1.50",
    "1.5::price": "$1.50",
    "array[1.5::money]": ["$1.50"],
    "'NaN'::numeric": "NaN",
    "'-Infinity'::numeric": "-Infinity",
    "1e400::numeric": int("1" + "0" * 400),
    "1.50::numeric(10, 2)": "1.50",
    f"{'9' * 60}.5::numeric": "9" * 60 + ".5",
    "0.1::float4": "0.1",
    "'NaN'::float8": "NaN",
    "'inf'::float4": "Infinity",
    "array[[1, 2], [3, 4]]": [[1, 2], [3, 4]],
    "'[2:3]={1,2}'::int[]": [1, 2],
    "'{}'::text[]": [],
    "array[1.5, 'NaN']::numeric[]": ["1.5", "NaN"],
    "array['{\"a\": 1}'::jsonb]": [{"a": 1}],
    "array['fine'::mood]": ["fine"],
    "array['10.0.0.1'::inet]": ["10.0.0.1"],
    "row(1, 'a')": "(1,a)",
    "row(1, 'a')::pair": "(1,a)",
    "'fine'::mood": "fine",
    "'10.0.0.0/8'::cidr": "10.0.0.0/8",
    "'10.0.0.1'::inet": "10.0.0.1/32",
    "'08:00:2b:01:02:03'::macaddr": "08:00:2b:01:02:03",
    "int4range(1, 5)": "[1,5)",
    "int4multirange(int4range(1, 2))": "{[1,2)}",
    "span(1, 2)": "[1,2)",
    "'a b'::tsvector": "'a' 'b'",
    "point(1, 2)": "(1,2)",
    "'\\x00ff'::bytea": "AP8=",
    "4294967295::oid": 4294967295,
    "'pg_class'::regclass": "pg_class",
    "'n'::name": "n",
    "'é'::\"char\"": "\\303",
    "'c'::char(3)": "c  ",
    "B'101'": "101",
    "'00000000-0000-0000-0000-000000000001'::uuid": "00000000-0000-0000-0000-000000000001",
    "'{\"a\": 1.10}'::jsonb": {"a": "1.10"},
    "pg_sleep(0)": "",
    "'0/1'::pg_lsn": "0/1",
    "'[red]:smile:'": "[red]:smile:",
    "NULL": None,
    "E'\\';--' || $$;\"/*$$ || $a$'$a$": "';--;\"/*'",
}


@pytest.mark.parametrize(("value", "wanted"), DUCKDB.items(), ids=DUCKDB)
def test_a_value_of_duckdb(
    file: DuckDBDestination, value: str, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside a column that must be cast, so that each value goes both ways.
    for beside in ("1", "INTERVAL 1 DAY"):
        (row,) = as_json(file, f"SELECT {value} AS v, {beside} AS beside", monkeypatch)
        if wanted is None and value != "NULL":
            assert row["v"]
        else:
            assert row["v"] == wanted
    assert printed(file, f"SELECT {value} AS v", Output.table, monkeypatch).startswith("v")


@pytest.mark.parametrize(("value", "wanted"), POSTGRES.items(), ids=POSTGRES)
def test_a_value_of_postgres(
    server: PostgresDestination, value: str, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for beside in ("1", "interval '1 day'"):
        (row,) = as_json(server, f"SELECT {value} AS v, {beside} AS beside", monkeypatch)
        assert row["v"] == wanted
    assert printed(server, f"SELECT {value} AS v", Output.table, monkeypatch).startswith("v")


@pytest.fixture(params=["file", "server"])
def destination(request: pytest.FixtureRequest) -> Destination:
    """Both databases."""
    made: Destination = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize("cast", ["1", "interval '1 day'"], ids=["as it is", "cast"])
def test_columns_of_one_name_are_all_there(
    destination: Destination, cast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = f'SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS "A", 5 AS a, {cast} AS x'
    (row,) = as_json(destination, sql, monkeypatch)
    row.pop("x")
    assert row == {"a": 1, "a_2": 2, "a_1": 3, "A": 4, "a_3": 5}
    names, values = printed(destination, sql, Output.table, monkeypatch).splitlines()
    assert names.split()[:5] == ["a", "a_2", "a_1", "A", "a_3"]
    assert values.split()[:5] == ["1", "2", "3", "4", "5"]


def test_columns_without_a_name_are_all_there(server: PostgresDestination) -> None:
    names = server.query("SELECT 1, 'x', interval '1 day', 1").column_names
    assert names == ["?column?", "?column?_1", "interval", "?column?_2"]


def test_names_are_made_distinct() -> None:
    assert distinct(["a", "a", "a"]) == ["a", "a_1", "a_2"]
    assert distinct(["a", "a", "a_1", "a_1"]) == ["a", "a_2", "a_1", "a_1_1"]
    assert distinct(["", ""]) == ["", "_1"]
    assert distinct([]) == []


@pytest.mark.parametrize("made", [["x", "x", "x_1", "x_2", "x"], ["a_1", "a", "a"], ["a"] * 50])
def test_no_made_name_is_that_of_another(made: list[str]) -> None:
    assert len(set(distinct(made))) == len(made)
    assert all(new.startswith(old) for old, new in zip(made, distinct(made), strict=True))


def test_the_order_stays_though_columns_are_cast(destination: Destination) -> None:
    answer = destination.query("SELECT n, d FROM t ORDER BY n DESC")
    assert answer.column("n").to_pylist() == list(range(8, -1, -1))
    assert answer.column("d").to_pylist() == ["infinity"] * 9


STATEMENTS = (
    "SELECT n, d FROM t LIMIT 1; -- done",
    "SELECT n, d FROM t LIMIT 1 /* a /* ; */ */ ;",
    "-- first\nSELECT n, d FROM t LIMIT 1 --",
    "(SELECT n, d FROM t LIMIT 1)",
    "WITH x AS (SELECT * FROM t) SELECT * FROM x LIMIT 1",
    "VALUES (1, date 'infinity')",
    "SELECT 1, date 'infinity' UNION SELECT 1, date 'infinity'",
)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_every_form_of_a_statement_is_answered(
    destination: Destination, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(destination, DuckDBDestination) and "/* ; */ */" in sql:
        sql = sql.replace("/* ; */ */", ";*/")
    (row,) = as_json(destination, sql, monkeypatch)
    assert list(row.values())[1] == "infinity"


@pytest.mark.parametrize("sql", ["", "  ;", "-- x", "/* x */"])
def test_no_statement_is_said_to_be_none(destination: Destination, sql: str) -> None:
    with pytest.raises(ConfigError, match="no statement") as caught:
        destination.query(sql)
    assert caught.value.hint


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t RETURNING d",
        "WITH gone AS (DELETE FROM t RETURNING d) SELECT * FROM gone",
        "SELECT d INTO u FROM t",
        "SELECT d FROM t FOR UPDATE",
        "SELECT 1; SELECT 2",
        "COPY t TO STDOUT",
        "SELECT $1, d FROM t",
    ],
)
def test_what_does_not_read_is_refused_though_its_columns_would_be_cast(
    server: PostgresDestination, sql: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        server.query(sql)
    assert caught.value.hint
    assert server.query("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 9}]


def test_parameters_are_refused(destination: Destination) -> None:
    with pytest.raises(ConfigError, match="it has parameters, which are not supported"):
        destination.query("SELECT $1::int")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ('can' || 'ary')::int AS n",
        "SELECT (471100 * 10)::smallint AS n",
        "SELECT ('can' || 'ary')::date AS n",
        "SELECT ('can' || 'ary')::json AS n",
        "SELECT ('can' || chr(39) || 'ary')::int AS n",
        "SELECT 'a' ~ ('(can' || 'ary') AS n",
        "SELECT 'a' ~ ('can' || 'ary)') AS n",
        "SELECT 'a' ~ ('[can' || 'ary') AS n",
        "SELECT 'a' ~ ('(can' || chr(10) || 'ary') AS n",
        "SELECT ('can' || chr(10) || chr(10) || 'LINE 1: ary')::int AS n",
    ],
)
def test_a_value_that_does_not_fit_is_blamed_and_not_shown(
    destination: Destination, sql: str
) -> None:
    with pytest.raises(QueryFailed) as caught:
        destination.query(sql)
    assert "A value does not fit" in caught.value.hint
    assert "can only read" not in str(caught.value)
    assert "ary" not in caught.value.message.replace("Binary", "")
    assert "4711" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", ["n/a", "it''s", "x'' y ''z"])
def test_a_value_of_the_query_itself_is_shown(destination: Destination, value: str) -> None:
    with pytest.raises(QueryFailed) as caught:
        destination.query(f"SELECT '{value}'::int AS n")
    assert value in caught.value.excerpt[0]
    if "''" not in value:
        assert value in caught.value.message


def test_no_rows_still_show_their_columns(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sql in ("SELECT n, d FROM t WHERE n < 0", "SELECT n FROM t LIMIT 0"):
        text = printed(destination, sql, Output.table, monkeypatch)
        assert text.split() == ["n", "d"][: len(text.split())]
        assert as_json(destination, sql, monkeypatch) == []


def test_very_many_columns_are_all_shown(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ", ".join(f"{n} AS a_long_name_of_a_column_{n}" for n in range(1500))
    text = printed(destination, f"SELECT {columns}", Output.table, monkeypatch)
    assert [line.split()[1] for line in text.splitlines()] == list(map(str, range(1500)))
    text = printed(destination, f"SELECT {columns} LIMIT 0", Output.table, monkeypatch)
    assert len(text.split()) == 1500


def test_no_columns_are_no_surprise(
    server: PostgresDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    for output, wanted in ((Output.json, "[]\n"), (Output.table, "")):
        assert printed(server, "SELECT FROM t", output, monkeypatch) == wanted


def test_a_role_that_shows_times_otherwise_changes_nothing(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.role(
        "ALTER ROLE {role} SET DateStyle = 'German, DMY'",
        "ALTER ROLE {role} SET IntervalStyle = 'iso_8601'",
    )
    postgres.url, before = url, postgres.url
    try:
        destination = PostgresDestination(postgres.parsed)
        sql = "SELECT '02/01/2024'::date AS d, interval '1 day' AS i, 'infinity'::date AS e"
        assert as_json(destination, sql, monkeypatch) == [
            {"d": "2024-02-01", "i": "1 day", "e": "infinity"}
        ]
    finally:
        postgres.url = before
