"""docs/queries.md, docs/types.md: each recipe, on both databases, on tables that were synced."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connector import job
from connector.config import loading as configuration
from connector.config.model import Config

from .cli.program import Program
from .rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB
from .test_distribution import ROOT

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("queries")

PAGES = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("queries.md", "types.md")]
CONFIGURATION = """
tables:
  orders: {}
  customers: {}
  app: {max_columns: 3}
  devices: {deletes: soft}
"""

KEYS = {"orders": ["id"], "customers": ["id"], "app": ["pk", "sk"], "devices": ["id"]}
ORDERS = [
    {
        "id": {"S": "o1"},
        "customer_id": {"S": "c1"},
        "status": {"S": "open"},
        "placed_at": {"S": "2026-03-01T09:30:00Z"},
        "delivered_on": {"S": "2026-03-04"},
        "paid_at": {"N": "1772358000"},
        "packed_at": {"N": "1772359200.5"},
        "shipped_ms": {"N": "1772366400250"},
        "total": {"N": "5.75"},
        "tags": {"SS": ["gift", "fragile"]},
        "discounts": {"M": {"staff": {"N": "1.25"}, "spring": {"N": "0.5"}}},
        "lines": {
            "L": [
                {"M": {"sku": {"S": "pear"}, "quantity": {"N": "3"}, "price": {"N": "1.5"}}},
                {"M": {"sku": {"S": "plum"}, "quantity": {"N": "1"}, "price": {"N": "1.25"}}},
            ]
        },
    },
    {
        "id": {"S": "o2"},
        "customer_id": {"S": "c2"},
        "status": {"S": "open"},
        "placed_at": {"S": "2026-03-02T23:30:00Z"},
        "delivered_on": {"S": "soon"},
        "paid_at": {"N": "1772496000"},
        "packed_at": {"N": "1772499600"},
        "total": {"N": "9"},
        "tags": {"SS": ["gift"]},
        "lines": {
            "L": [{"M": {"sku": {"S": "pear"}, "quantity": {"N": "6"}, "price": {"N": "1.5"}}}]
        },
    },
]
LATER = [
    {**ORDERS[1], "status": {"S": "paid"}},
    {"id": {"S": "o3"}, "customer_id": {"S": "c1"}, "status": {"S": "open"}, "total": {"S": "n/a"}},
]
CUSTOMERS = [
    {
        "id": {"S": "c1"},
        "name": {"S": "Ada"},
        "address": {
            "M": {
                "since": {"N": "1740787200"},
                "credit": {"S": "12345678901234567890.12"},
                "place": {"M": {"city": {"S": "Paris"}}},
                "verified": {"BOOL": True},
                "phone": {"NULL": True},
            }
        },
    },
    {
        "id": {"S": "c2"},
        "name": {"S": "Bob"},
        "address": {"M": {"credit": {"S": "0.1"}, "verified": {"BOOL": False}}},
    },
]
APP = [
    {
        "pk": {"S": "CUSTOMER#1"},
        "sk": {"S": "PROFILE"},
        "name": {"S": "Ada"},
        "note": {"S": "ring twice"},
        "weight": {"N": "1.125"},
    },
    {"pk": {"S": "CUSTOMER#1"}, "sk": {"S": "ORDER#7"}, "name": {"S": "A first order"}},
    {"pk": {"S": "SHOP#9"}, "sk": {"S": "PROFILE"}, "name": {"S": "Corner"}},
]
DEVICES = [
    {"id": {"S": "d1"}, "place": {"S": "roof"}},
    {"id": {"S": "d2"}, "place": {"S": "cellar"}},
]


@dataclass(frozen=True)
class Recipe:
    """One block of SQL, the database it is for (or empty), and the answer that the page shows."""

    sql: str
    only: str
    answer: str

    @property
    def statements(self) -> list[str]:
        return [each.strip() for each in self.sql.split(";\n") if each.strip()]


def recipes(page: str) -> list[Recipe]:
    """A page's recipes; an answer is that of every block between it and the answer before."""
    found: list[Recipe] = []
    waiting: list[tuple[str, str]] = []
    parts = re.finditer(
        r"^```sql ?(?P<only>\w*)\n(?P<sql>.*?)^```$|(?P<answer>(?:^\|[^\n]*\n)+)|^## ",
        page,
        re.MULTILINE | re.DOTALL,
    )
    for part in parts:
        if part["sql"]:
            if waiting and {part["only"], waiting[-1][1]} != {"duckdb", "postgres"}:
                found += [Recipe(*block, "") for block in waiting]
                waiting = []
            waiting.append((part["sql"], part["only"]))
            continue
        found += [Recipe(*block, part["answer"] or "") for block in waiting]
        waiting = []
    return found + [Recipe(*block, "") for block in waiting]


RECIPES = [each for page in PAGES for each in recipes(page) if each.only != "view"]


@dataclass(frozen=True)
class Warehouse:
    """A destination that holds the tables. `seen` is the newest commit of the first sync."""

    config: Config
    seen: int = 0

    def query(self, sql: str) -> list[dict[str, Any]]:
        return job.open_destination(self.config).query(sql).to_pylist()


@contextmanager
def synced(url: str, folder: Path) -> Iterator[Warehouse]:
    """Syncs the tables, changes two of them and syncs again, as the page tells it."""
    (folder / "connector.yaml").write_text(CONFIGURATION)
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        made = {
            name: rig.create_table(name, KeySchema(*map(Key, keys))) for name, keys in KEYS.items()
        }
        for table, items in zip(made.values(), (ORDERS, CUSTOMERS, APP, DEVICES), strict=True):
            table.load(items)
        sync(folder, url, rig)
        config = configuration.load(folder / "connector.yaml", to=url, environment={})
        seen = Warehouse(config).query(
            "select max(_commit) as seen from (select _commit from orders "
            "union all select _commit from devices) as both_tables"
        )[0]["seen"]
        made["orders"].put(*LATER)
        made["devices"].delete({"id": {"S": "d2"}})
        sync(folder, url, rig)
        yield Warehouse(config, seen)


def sync(folder: Path, url: str, rig: ScriptedDynamoDB) -> None:
    program = Program(folder, rig.url)
    done = program("sync", "--to", url)
    assert done.code == 0, done.stderr


@pytest.fixture(scope="module")
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    """The warehouse of the test's database."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def in_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("duckdb")
    with synced(f"duckdb:///{folder}/wh.duckdb", folder) as made:
        yield made


@pytest.fixture(scope="module")
def in_postgres(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    from .rigs.postgres import database

    # One of its own: others empty theirs before each test.
    with database(request.getfixturevalue("postgres_database").url) as own:
        folder = tmp_path_factory.mktemp("postgres")
        with synced(own.url, folder) as made:
            yield made


def shown(value: Any) -> str:
    """A value as the page shows it, in UTC and without zeros that say nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
        return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}"
    if isinstance(value, date):
        return value.isoformat()
    try:
        return f"{Decimal(str(value)).normalize():f}"
    except InvalidOperation:
        return str(value)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as the page shows them."""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[shown(value) for value in row.values()] for row in rows]
    return "".join("|" + "|".join(each if each == "---" else f" {each} " for each in line) + "|\n"
                   for line in lines)  # fmt: skip


def on_its_databases() -> Iterator[Any]:
    for recipe in RECIPES:
        for kind in ("duckdb", "postgres"):
            if recipe.only in ("", kind):
                name = f"{kind}: {recipe.sql[:50]}"
                yield pytest.param(recipe, f"in_{kind}", id=name)


@pytest.mark.parametrize(("recipe", "warehouse"), list(on_its_databases()), indirect=["warehouse"])
def test_a_recipe_gives_the_answer_that_is_shown(recipe: Recipe, warehouse: Warehouse):
    for statement in recipe.statements:
        rows = warehouse.query(statement.replace("_commit > 17", f"_commit > {warehouse.seen}"))
        assert rows, statement
    if recipe.answer:
        assert table(rows) == recipe.answer


def test_what_differs_is_there_for_both():
    kinds = [each.only for each in RECIPES if each.only]
    assert len(kinds) > 10
    assert kinds == ["duckdb", "postgres"] * (len(kinds) // 2)


def view() -> str:
    (found,) = [each.sql for each in recipes(PAGES[0]) if each.only == "view"]
    return found


def test_the_view_stays_while_duckdb_widens_a_column(in_duckdb, tmp_path):
    copy = shutil.copy(in_duckdb.config.destination.url.path, tmp_path)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(view())
        connection.execute("ALTER TABLE orders ALTER COLUMN status TYPE JSON USING to_json(status)")
        assert connection.table("report").columns == [
            "id", "status", "customer_id", "placed", "changed_at",
        ]  # fmt: skip
        answer = connection.execute("SELECT id FROM report ORDER BY id").fetchall()
        assert [row[0] for row in answer] == ["o1", "o2", "o3"]


def test_the_view_can_be_made_in_postgres(in_postgres):
    from adbc_driver_postgresql import dbapi

    url = in_postgres.config.destination.url.reveal()
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(view())
        cursor.execute("SELECT id FROM report ORDER BY id")
        assert [row[0] for row in cursor.fetchall()] == ["o1", "o2", "o3"]
        connection.rollback()
