"""What only Postgres can get wrong: types, names, keys, privileges, and tables changed by hand."""

import json
import os
import random
import re
import signal
import string
import subprocess
import sys
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import pytest
from adbc_driver_postgresql import dbapi
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector.config_url import DestinationUrl
from connector.core.cursors import Quarantined
from connector.core.encoder import Encoder
from connector.core.fold import Deletes
from connector.core.keys import KeyAttribute, KeySchema
from connector.core.limits import POSTGRES as LIMITS
from connector.core.names import SERVICE
from connector.destinations.postgres import PostgresDestination
from connector.errors import (
    Busy,
    ConfigError,
    ConnectorError,
    CursorMoved,
    DestinationRefused,
    StateRefused,
    Transient,
)
from connector.failpoints import VARIABLE
from tests.rigs.postgres import Database, wait_until

from .history import FAILPOINTS, FINAL, tell
from .story import EPOCH, KEYS, SHARD, Story, delete, put

A = {"id": {"S": "a"}, "n": {"N": "1"}}
B = {"id": {"S": "b"}, "n": {"N": "2"}}
SECRET = "a-secret-value"


def told(database: Database, url: str = "", **options: object) -> Story:
    """A planned table, by another user where a url is given."""
    parsed = DestinationUrl.parse(url) if url else database.parsed
    defaults = {"lock_timeout": 0.2, "run_id": "run-1", "command": "sync"}
    story = Story(PostgresDestination(parsed, **(defaults | options)))
    story.plan()
    return story


@pytest.fixture
def story(postgres: Database) -> Story:
    return told(postgres)


def types_of(database: Database, table: str = "orders") -> dict[str, str]:
    """The SQL type of each column."""
    rows = database.by_hand(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return dict(rows)


def test_every_type_has_its_column(story, postgres):
    item = {
        "id": {"S": "1"},
        "s": {"S": "text"},
        "i": {"N": "-9223372036854775808"},
        "u": {"N": "18446744073709551615"},
        "d": {"N": "1.50"},
        "h": {"N": "9.99E+125"},
        "t": {"BOOL": True},
        "b": {"B": "AAEC/w=="},
        "m": {"M": {"x": {"N": "1.50"}, "y": {"NS": ["10", "9"]}}},
    }
    story.tail(put(item))
    story.shows(item)
    assert types_of(postgres) == {
        "id": "text",
        "_changed_at": "timestamp with time zone",
        "_commit": "bigint",
        "s": "text",
        "i": "bigint",
        "u": "numeric",
        "d": "numeric",
        "h": "numeric",
        "t": "boolean",
        "b": "bytea",
        "m": "jsonb",
    }
    (row,) = postgres.by_hand("SELECT i, u::text, d::text, h = 9.99e125, m ->> 'x' FROM orders")
    assert row == (-(2**63), "18446744073709551615", "1.5", True, "1.5")
    story.load(story.page(item | {"id": {"S": "2"}}))
    assert postgres.by_hand("SELECT count(DISTINCT (s, i, u, d, h, t, b, m)) FROM orders") == [(1,)]


NUMBERS = st.builds(
    lambda digits, exponent, sign: f"{sign}{digits}E{exponent}",
    st.integers(1, 10**38 - 1),
    st.integers(-100, 80),
    st.sampled_from(["", "-"]),
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NUMBERS, min_size=1, max_size=60))
@example(["1E-130", "9.9999999999999999999999999999999999999E+125", "-1E-130", "0.10", "100"])
@example(["12345678901234567890123456789012345678", "-1", "10000", "0.0001", "99990000"])
def test_numbers_are_exact(story, postgres, numbers):
    items = [{"id": {"S": str(i)}, "n": {"N": text}} for i, text in enumerate(numbers)]
    story.tail(*map(put, items))
    rows = postgres.by_hand("SELECT id, n::text FROM orders")
    found = {int(key): Decimal(text) for key, text in rows}
    assert [found[i] for i in range(len(items))] == [Decimal(text) for text in numbers]


def test_text_keys_sort_by_their_bytes(story, postgres):
    rows = postgres.by_hand(
        "SELECT collname::text FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation "
        "WHERE attrelid = 'orders'::regclass AND attname = 'id'"
    )
    assert rows == [("C",)]


def limited(database: Database, keys: KeySchema = KEYS, **options: object) -> Story:
    """A story that tells everything, with what Postgres cannot hold quarantined."""
    story = Story(PostgresDestination(database.parsed), keys, text=lambda text: text, **options)
    story.encoder = Encoder(keys, limits=LIMITS)
    story.plan()
    return story


UNSTORABLE = [
    {"v": {"S": "a\0b"}},
    {"v": {"M": {"x": {"L": [{"S": "\0"}]}}}},
    {"v": {"M": {"x\0": {"N": "1"}}}},
    {"v": {"SS": ["a", "\0"]}},
    {"\0": {"N": "1"}},
]


@pytest.mark.parametrize("bad", UNSTORABLE)
@pytest.mark.parametrize("deletes", [Deletes.APPLY, Deletes.SOFT])
def test_an_item_with_a_nul_is_quarantined_and_leaves_no_older_row(postgres, bad, deletes):
    story = limited(postgres, deletes=deletes)
    story.tail(put(A), put(B))
    fold = story.fold(put(A | bad), delete(B))
    rows = fold.rows()
    assert (fold.counts.applied, fold.counts.quarantined) == (1, 1)
    committed = story.tail(rows=rows, quarantined=fold.quarantined)
    assert committed.quarantined == 1
    story.shows()
    ((key, reason, raw),) = postgres.by_hand("SELECT key, reason, raw FROM _connector.quarantine")
    assert key == '["a"]'
    assert "NUL" in reason
    assert json.loads(raw)["dynamodb"]["NewImage"] == A | bad
    assert story.load(story.page(A, B, A | {"id": {"S": "c"}})).written == 1
    story.tail(put(A))
    story.shows(A, A | {"id": {"S": "c"}})


@pytest.mark.parametrize(
    "text", ["\\u0000", "\\\\u0000", "\\", "\u2400", "\x01", "\\0", "\ud7ff\ue000\U0010ffff"]
)
def test_what_only_looks_like_a_nul_is_kept(postgres, text):
    story = limited(postgres)
    item = {"id": {"S": text}, text: {"S": text}, "m": {"M": {text: {"L": [{"S": text}]}}}}
    story.tail(put(item))
    story.load(story.page(item | {"id": {"S": "2"}}))
    story.shows(item, item | {"id": {"S": "2"}})


def test_a_scanned_page_gives_what_it_cannot_hold_with_its_wire_form_and_key():
    encoder = Encoder((KeyAttribute("id", "S"),), limits=LIMITS)
    items = [A, A | {"v": {"S": "\0"}}, B]
    body = json.dumps({"Items": items, "Count": 3, "ScannedCount": 3}).encode()
    encoded, _ = encoder.encode_page(body)
    assert encoded.rows.column("item.id").to_pylist() == ["a", "b"]
    ((index, raw, key),) = [(bad.index, bad.raw, bad.key) for bad in encoded.bad]
    assert (index, json.loads(raw), key) == (1, items[1], '["a"]')


def test_the_longest_key_is_held_and_a_longer_one_quarantined(postgres):
    keys = (KeyAttribute("p", "S"), KeyAttribute("s", "B"))
    story = limited(postgres, keys)
    letters = random.Random(7)
    text = "".join(letters.choices(string.printable, k=1651))

    def item(length: int) -> dict[str, dict[str, str]]:
        return {"p": {"S": text}, "s": {"B": b64encode(letters.randbytes(length)).decode()}}

    longest, longer = item(1024), item(1025)
    fold = story.fold(put(longest), put(longer))
    assert len(fold.rows()) == 1
    (bad,) = fold.quarantined
    assert "2675 bytes" in bad.reason
    story.tail(put(longest))
    story.shows(longest)
    story.load(story.page(longest))
    story.shows(longest)


def test_a_single_key_of_the_longest_kind_always_fits(postgres):
    story = limited(postgres)
    items = [{"id": {"S": "".join(random.Random(n).choices("äöüß€𝄞xyz", k=500))}} for n in range(3)]
    story.tail(*map(put, items))
    story.shows(*items)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


SYSTEM = {"ctid", "oid", "tableoid", "xmin", "xmax", "cmin", "cmax"}


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NAMES, min_size=1, max_size=20, unique=True))
@example(["é" * 32, "x" * 63, "x" * 64, "x" * 65, "X", "x", "ä", "a\u0308", "\u212b", "Å"])
@example(['"; DROP TABLE orders; --', "100% %s $1 :x {y} \\ '", "a\0b", "a\0c", "a", "\0", "$$"])
@example([*SYSTEM, *SERVICE, "excluded", "changed", "rest", "s", "t", "d", "n", "select", "id_"])
def test_any_text_makes_that_column_and_no_other(postgres, names):
    postgres.clean()
    story = told(postgres)
    before = set(types_of(postgres))
    names = [name for name in names if name != "id"]
    plain = {f"name{n}": {"S": f"{n}"} for n in range(len(names))}
    rows = story.records(put({"id": {"S": "1"}, **plain}))
    fields = {f"item.name{n}": f"item.{name}" for n, name in enumerate(names)}
    story.tail(rows=rows.rename_columns([fields.get(name, name) for name in rows.column_names]))
    columns = {name: column.name for name, column in story.state().columns.items()}
    assert set(types_of(postgres)) - before == set(columns.values()) - {"id"}
    assert len(set(columns.values())) == len(columns) == len(names) + 1
    for name in set(names) - SYSTEM - set(SERVICE):
        if "\0" not in name and len(name.encode()) <= 63:
            assert columns[name] == name
    assert story.items()['["1"]'] == {"id": "1"} | {name: f"{n}" for n, name in enumerate(names)}


@pytest.mark.parametrize("name", ["nul\0name", "x" * 64, "é" * 32])
def test_a_table_name_that_postgres_would_cut_is_refused(postgres, name):
    story = Story(PostgresDestination(postgres.parsed), target=name)
    with pytest.raises(DestinationRefused):
        story.plan()
    assert story.destination.tables() == []


def wide(kind: str, columns: int, key: str = "1") -> dict[str, dict[str, str]]:
    """An item of many attributes."""
    values = {
        "N": lambda n: {"N": str(n)},
        "decimal": lambda n: {"N": f"{n}.{10**20 + n}"},
        "huge": lambda n: {"N": f"{n + 1}E-120"},
        "S": lambda n: {"S": f"{n:023}"},
        "M": lambda n: {"M": {"n": {"N": f"{n}"}}},
    }
    return {"id": {"S": key}} | {f"a{n}": values[kind](n) for n in range(columns)}


@pytest.mark.parametrize(
    ("kind", "columns"), [("decimal", 1000), ("N", 600), ("huge", 400), ("S", 400), ("M", 400)]
)
def test_a_row_that_is_too_wide_for_a_page_loses_nothing(postgres, kind, columns):
    story = told(postgres, max_columns=1500)
    story.encoder = Encoder(story.keys, 1500)
    one, two = wide(kind, columns), wide(kind, columns, "2")
    sparse = {name: value for name, value in wide(kind, columns, "3").items() if name[-1] in "d57"}
    story.tail(put(one), put(sparse))
    story.shows(one, sparse)
    story.load(story.page(two))
    story.shows(one, two, sparse)
    assert len(types_of(postgres)) == columns + len(("id", "_changed_at", "_commit", "_rest"))
    row = postgres.by_hand("SELECT _rest IS NULL FROM orders ORDER BY id")
    assert row == [(False,), (False,), (True,)]
    story.refresh()
    story.load(story.page(one, {"id": {"S": "2"}}))
    story.shows(one, {"id": {"S": "2"}})


def test_more_columns_than_postgres_has_go_to_the_rest(postgres):
    story = told(postgres, max_columns=10_000)
    story.encoder = Encoder(story.keys, 10_000)
    item = {"id": {"S": "1"}} | {f"a{n}": {"BOOL": True} for n in range(1700)}
    story.tail(put(item))
    story.shows(item)
    assert len(story.state().columns) == 1500


PAGE = Path(__file__).parents[2].joinpath("docs/postgres.md").read_text(encoding="utf-8")
GRANTS = re.findall(r"^```sql\n(create role.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]


def least(database: Database) -> str:
    """The url of a role made just as the documentation says."""
    database.by_hand(
        f"REVOKE ALL ON DATABASE {database.name} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    )
    role = f"loader_{uuid4().hex[:8]}"
    database.roles.append(role)
    text = GRANTS.replace("loader", role).replace("analytics", database.name)
    text = text.replace("create schema", "create schema if not exists")
    text = text.replace("schema dynamodb", "schema warehouse").replace(
        "exists dynamodb", "exists warehouse"
    )
    database.by_hand(*filter(None, map(str.strip, text.split(";"))))
    return database.as_user(role)


def test_a_role_needs_only_the_documented_privileges(postgres):
    url = least(postgres)
    assert "PostgreSQL" in PostgresDestination(DestinationUrl.parse(url), "warehouse").check()
    story = told(postgres, url, schema="warehouse", max_columns=2)
    story.tail(put(A), delete(B))
    story.load(story.page(B, {"id": {"S": "c"}, "x": {"S": "y"}, "z": {"N": "1"}}))
    story.tail(put(A | {"n": {"S": "text"}}))
    story.refresh()
    story.load(story.page(A))
    story.shows(A)
    assert story.destination.query("SELECT count(*) AS n FROM orders").to_pylist() == [{"n": 1}]
    story.destination.note("orders", "problem")
    story.destination.reset("orders", drop=True)
    assert story.destination.tables() == []
    (superuser,) = postgres.by_hand(
        f"SELECT rolsuper FROM pg_roles WHERE rolname = '{postgres.roles[0]}'"
    )
    assert superuser == (False,)


@pytest.mark.parametrize(
    "lacking",
    [
        "REVOKE CREATE ON SCHEMA warehouse FROM {role}",
        "REVOKE USAGE ON SCHEMA warehouse FROM {role}",
        "REVOKE CREATE ON SCHEMA _connector FROM {role}",
        "REVOKE TEMPORARY ON DATABASE {database} FROM {role}",
        "DROP SCHEMA _connector",
        "DROP SCHEMA warehouse",
    ],
)
def test_a_missing_privilege_is_told_by_check(postgres, lacking):
    url = least(postgres)
    postgres.by_hand(lacking.format(role=postgres.roles[0], database=postgres.name))
    with pytest.raises(DestinationRefused, match="42501") as caught:
        PostgresDestination(DestinationUrl.parse(url), "warehouse").check()
    assert "privileges" in caught.value.hint


def test_a_table_of_another_role_is_told_by_check(story, postgres):
    url = least(postgres)
    role = postgres.roles[0]
    postgres.by_hand(
        f"GRANT ALL ON SCHEMA public TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public, _connector TO {role}",
    )
    with pytest.raises(DestinationRefused, match="belongs to another role"):
        PostgresDestination(DestinationUrl.parse(url)).check()


def test_row_level_security_never_hides_rows_silently(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    story.tail(put(A))
    postgres.by_hand(
        "ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE warehouse.orders FORCE ROW LEVEL SECURITY",
    )
    for use in (lambda: story.destination.count("orders"), lambda: story.tail(put(B))):
        with pytest.raises(DestinationRefused, match="42501"):
            use()


def test_names_are_never_looked_up_in_anothers_schema(postgres):
    url = least(postgres)
    role = postgres.roles[0]
    postgres.by_hand(
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.trim_scale(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 666.0'",
        "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''no'''",
        f"GRANT USAGE ON SCHEMA evil TO {role}",
        f"ALTER ROLE {role} SET search_path = evil, pg_catalog",
    )
    story = told(postgres, url, schema="warehouse")
    story.tail(put({"id": {"S": "a"}, "n": {"N": "1.5"}}))
    story.shows({"id": {"S": "a"}, "n": {"N": "1.5"}})


def test_settings_of_a_role_do_not_change_what_is_written(postgres):
    url = least(postgres)
    role = postgres.roles[0]
    for name, value in {
        "TimeZone": "'Pacific/Chatham'",
        "bytea_output": "'escape'",
        "client_encoding": "'LATIN1'",
        "default_transaction_isolation": "'serializable'",
        "standard_conforming_strings": "on",
        "DateStyle": "'SQL, DMY'",
        "extra_float_digits": "-5",
    }.items():
        postgres.by_hand(f"ALTER ROLE {role} SET {name} = {value}")
    story = told(postgres, url, schema="warehouse")
    item = {"id": {"S": "€"}, "n": {"N": "1.5"}, "b": {"B": "AP8="}, "m": {"L": [{"S": "漢"}]}}
    story.tail(put(item))
    story.shows(item)
    rows = postgres.by_hand("SELECT extract(epoch FROM _changed_at)::bigint FROM warehouse.orders")
    assert rows == [(int(EPOCH.timestamp()) + 1,)]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_kill_leaves_nothing_half_done(postgres, failpoint):
    command = [sys.executable, "-m", "tests.destinations.history", postgres.url]
    killed = subprocess.run(command, env=os.environ | {VARIABLE: failpoint}, check=False)
    assert killed.returncode == -signal.SIGKILL
    story = tell(postgres.url)
    story.shows(*FINAL)
    runs = story.destination.query("SELECT sum(commits) AS commits FROM _connector.runs")
    assert runs.to_pylist() == [{"commits": 5}]


def test_two_runs_take_turns_and_one_of_them_moves_on(story, postgres):
    batches = [story.batch(put(A)), story.batch(put(A))]
    outcomes: list[object] = []

    def commit(batch):
        try:
            patient = PostgresDestination(postgres.parsed)
            outcomes.append(patient.commit(batch).commit)
        except CursorMoved as error:
            outcomes.append(error)

    threads = [Thread(target=commit, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(outcome, CursorMoved) for outcome in outcomes) == [False, True]


def test_two_first_plans_at_once_leave_one(postgres):
    outcomes: list[object] = []

    def plan(name):
        try:
            outcomes.append(Story(PostgresDestination(postgres.parsed)).plan(name).plan_id)
        except CursorMoved as error:
            outcomes.append(error)

    threads = [Thread(target=plan, args=[f"plan-{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(outcome, CursorMoved) for outcome in outcomes) == [False, *[True] * 3]


def test_a_reader_sees_one_moment_while_rows_are_written(story):
    story.tail(put(A), put(B))
    batches = story.destination.rows("orders")
    first = next(batches)
    story.tail(delete(A), delete(B), put({"id": {"S": "c"}}))
    assert first.num_rows + sum(batch.num_rows for batch in batches) == 2
    story.shows({"id": {"S": "c"}})


@pytest.mark.parametrize(
    ("change", "told_of"),
    [
        ("ALTER TABLE orders DROP n", "'n' should be bigint and is gone"),
        (
            "ALTER TABLE orders ALTER n TYPE numeric(9,2)",
            "'n' should be bigint and is numeric(9,2)",
        ),
        ("ALTER TABLE orders DROP _commit", "'_commit' should be bigint and is gone"),
        ("ALTER TABLE orders RENAME n TO m", "'n' should be bigint and is gone"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "primary key"),
        ("DROP TABLE orders", "gone"),
    ],
)
def test_a_table_changed_by_hand_is_refused(story, postgres, change, told_of):
    story.tail(put(A))
    postgres.by_hand(change)
    for use in (
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: list(story.destination.rows("orders")),
        lambda: story.destination.count("orders"),
    ):
        with pytest.raises(DestinationRefused, match=re.escape(told_of)):
            use()


def test_a_column_added_by_hand_is_left_alone(story, postgres):
    story.tail(put(A))
    postgres.by_hand("ALTER TABLE orders ADD COLUMN mine text DEFAULT 'x'")
    story.tail(put(B | {"mine": {"S": "theirs"}}), put(A | {"n": {"N": "3"}}))
    c = {"id": {"S": "c"}}
    story.load(story.page(c), story.page(c))
    assert postgres.by_hand("SELECT id, mine FROM orders ORDER BY id") == [
        ("a", "x"),
        ("b", "x"),
        ("c", "x"),
    ]
    story.refresh()
    story.load(story.page(A, B))
    story.shows(A, B)
    assert postgres.by_hand("SELECT DISTINCT mine FROM orders") == [("x",)]


@pytest.mark.parametrize(
    ("change", "item", "state"),
    [
        ("ALTER TABLE orders ALTER n SET NOT NULL", {}, "23502"),
        ("ALTER TABLE orders ADD CHECK (n < 2)", {"n": {"N": "5"}}, "23514"),
        ("CREATE UNIQUE INDEX ON orders ((1))", {}, "23505"),
        ("CREATE VIEW v AS SELECT n FROM orders", {"n": {"S": SECRET}}, "0A000"),
    ],
)
def test_what_stands_in_the_way_is_named_without_a_value(story, postgres, change, item, state):
    story.tail(put(A))
    postgres.by_hand(change)
    with pytest.raises(DestinationRefused, match=state) as caught:
        story.tail(put({"id": {"S": SECRET}} | item))
    assert caught.value.hint
    assert SECRET not in repr(caught.value) + str(caught.value)
    # What the driver says does quote it.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    story.shows(A)


def test_what_is_no_table_is_refused(postgres):
    postgres.by_hand("CREATE VIEW orders AS SELECT 1 AS id")
    with pytest.raises(DestinationRefused, match="no table"):
        told(postgres)


def test_a_table_of_somebody_else_is_refused_untouched(postgres):
    postgres.by_hand("CREATE TABLE orders AS SELECT 'mine' AS id")
    with pytest.raises(DestinationRefused, match="not made by the connector"):
        told(postgres)
    assert postgres.by_hand("SELECT id FROM orders") == [("mine",)]
    assert PostgresDestination(postgres.parsed).tables() == []


def test_81_a_newer_state_is_refused_untouched(story, postgres):
    story.tail(put(A))
    postgres.by_hand("UPDATE _connector.tables SET state_version = 2")
    destination = story.destination
    for use in (
        story.plan,
        story.refresh,
        story.state,
        destination.tables,
        destination.check,
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: destination.reset("orders", drop=True),
        lambda: list(destination.rows("orders")),
    ):
        with pytest.raises(StateRefused, match="version 2"):
            use()
    assert postgres.by_hand("SELECT id FROM orders") == [("a",)]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE _connector.tables",
        "DROP TABLE _connector.cursors",
        "ALTER TABLE _connector.cursors DROP token",
        "ALTER TABLE _connector.tables DROP generation",
        "ALTER TABLE _connector.tables ALTER generation TYPE text",
        "ALTER TABLE _connector.tables ALTER state_version TYPE text",
        "UPDATE _connector.tables SET phase = 'sleeping'",
        "UPDATE _connector.tables SET keys = '{'",
        "UPDATE _connector.columns SET type = 'float'",
    ],
)
def test_81_a_damaged_state_is_refused(story, postgres, damage):
    postgres.by_hand(damage)
    with pytest.raises(StateRefused) as caught:
        story.state()
    assert caught.value.hint
    with pytest.raises(StateRefused):
        story.tail(put(A))
    assert postgres.by_hand("SELECT count(*) FROM orders") == [(0,)]


def test_the_state_has_keys(story, postgres):
    rows = postgres.by_hand(
        "SELECT conrelid::regclass::text FROM pg_constraint k JOIN pg_namespace n "
        "ON n.oid = k.connamespace WHERE n.nspname = '_connector' AND k.contype = 'p' ORDER BY 1"
    )
    assert [name for (name,) in rows] == [
        f"_connector.{each}" for each in ("columns", "cursors", "runs", "tables")
    ]


def test_tombstones_and_quarantine_can_be_seen(story, postgres):
    story.tail(delete(A), quarantined=[Quarantined(SHARD, "why", "{}", '["a"]', "5")])
    assert postgres.by_hand('SELECT table_name, key, "commit" FROM _connector.tombstones') == [
        ("orders", '["a"]', 2)
    ]
    story.load(story.page(A))
    story.shows()
    assert postgres.by_hand("SELECT key FROM _connector.tombstones") == []


def test_a_query_can_only_read(story, postgres):
    story.tail(put(A))
    query = story.destination.query
    assert query("SELECT id, n * 1.5 AS x, _changed_at FROM orders").to_pylist() == [
        {"id": "a", "x": Decimal("1.5"), "_changed_at": EPOCH.replace(second=1)}
    ]
    assert query("EXPLAIN SELECT 1").num_rows
    assert query("SHOW search_path").to_pylist() == [{"search_path": '"public", pg_temp'}]
    assert query("SELECT 'NaN'::numeric AS x").to_pylist() == [{"x": "nan"}]
    for refused in (
        "DELETE FROM orders",
        "INSERT INTO orders (id) VALUES ('x')",
        "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT * FROM gone",
        "CREATE TABLE mine (a int)",
        "SELECT nothing FROM orders",
        "SELEC",
        "SELECT 1; DELETE FROM orders",
        "SELECT $1",
        "SELECT 1\0",
        "SELECT (SELECT id FROM orders)::int",
        "SELECT 1 / 0",
    ):
        with pytest.raises((ConfigError, DestinationRefused)) as caught:
            query(refused)
        assert "\n" not in str(caught.value)
    story.shows(A)


def test_no_query_error_quotes_a_value(story):
    story.tail(put({"id": {"S": SECRET}}))
    with pytest.raises(ConnectorError) as caught:
        story.destination.query("SELECT id::bigint FROM orders")
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_lock_that_is_held_too_long_is_busy(story, postgres):
    story.tail(put(A))
    with dbapi.connect(postgres.url) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE orders")
        with pytest.raises(Busy, match="lock_timeout"):
            story.tail(put(B))
    story.cursor = story.state().cursors[SHARD]
    story.tail(put(B))
    story.shows(A, B)


def test_a_deadlock_is_tried_again(story, postgres):
    story.tail(put(A), put(B))
    patient = Story(PostgresDestination(postgres.parsed), generation=1, plan_id="plan-1")
    patient.cursor, patient.sequence = story.cursor, story.sequence
    with dbapi.connect(postgres.url) as other, other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '60s'")
        cursor.execute("UPDATE orders SET n = 0 WHERE id = 'b'")
        commit = Thread(target=patient.tail, args=[put(A | {"n": {"N": "5"}}), put(B)])
        commit.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: postgres.by_hand(waiting) == [(1,)])
        # The connector's transaction, which waits with the shorter patience, is the one to give.
        cursor.execute("UPDATE orders SET n = 0 WHERE id = 'a'")
        other.commit()
    commit.join()
    patient.shows(A | {"n": {"N": "5"}}, B)


def test_a_statement_time_out_is_told_and_leaves_nothing(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    story.tail(put(A))
    postgres.by_hand(
        "CREATE FUNCTION warehouse.slow() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(9); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON warehouse.orders "
        "FOR EACH ROW EXECUTE FUNCTION warehouse.slow()",
        f"ALTER ROLE {postgres.roles[0]} SET statement_timeout = '200ms'",
    )
    with pytest.raises(Transient, match="statement_timeout") as caught:
        story.tail(put(B))
    assert caught.value.exit_code == 4
    story.shows(A)


def test_a_server_that_only_reads_is_told(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    story.tail(put(A))
    postgres.by_hand(f"ALTER ROLE {postgres.roles[0]} SET default_transaction_read_only = on")
    for use in (
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        story.destination.check,
    ):
        with pytest.raises(Transient, match="only reads"):
            use()
    story.shows(A)
    assert story.state().commit == 2


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgres, encoding):
    name = f"{postgres.name}_{encoding.lower()}"
    template = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    postgres.by_hand(f"CREATE DATABASE {name} {template}")
    try:
        url = postgres.url.replace(postgres.name, name)
        with pytest.raises(DestinationRefused, match="UTF8"):
            PostgresDestination(DestinationUrl.parse(url)).check()
    finally:
        postgres.by_hand(f"DROP DATABASE {name} WITH (FORCE)")


def test_an_interruption_is_heard_and_the_commit_finished(story, postgres):
    postgres.by_hand(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    heard = Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.set())
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    def interrupt() -> None:
        wait_until(lambda: postgres.by_hand(sleeping) == [(1,)])
        os.kill(os.getpid(), signal.SIGINT)

    killer = Thread(target=interrupt)
    try:
        killer.start()
        story.tail(put(A))
    finally:
        killer.join()
        signal.signal(signal.SIGINT, before)
    assert heard.is_set()
    story.shows(A)
