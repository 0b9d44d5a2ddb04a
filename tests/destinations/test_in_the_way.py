"""What others have put in the way of a write is named, without a value, and nothing is lost."""

import re

import pytest

from connector.destinations.duckdb.file import DuckDBDestination
from connector.errors import ConnectorError, DestinationRefused
from tests.rigs import duckdb_file
from tests.rigs.postgres import Database

from .items import SECRET, A, B
from .postgres_story import told
from .story import Story, put

N = {"n": {"N": "1"}}
FIRST = {"id": {"S": "a"}, **N}
WIDER = {"id": {"S": "a"}, "n": {"S": SECRET}}
NEW = {"id": {"S": SECRET}, "n": {"N": "5000"}}
TWIN = {"id": {"S": SECRET}, **N}

FUNCTION = (
    "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {}; RETURN new; END$$"
)
TRIGGER = "CREATE TRIGGER tr BEFORE {} ON orders FOR EACH ROW EXECUTE FUNCTION f()"

POSTGRES = {
    "a view": (
        ["CREATE SCHEMA bi", "CREATE VIEW bi.report AS SELECT n FROM orders"],
        WIDER,
        "column n of public.orders cannot become jsonb, because of the view bi.report",
    ),
    "two views": (
        ["CREATE VIEW v1 AS SELECT n FROM orders", "CREATE VIEW v2 AS SELECT * FROM orders"],
        WIDER,
        "the view public.v1, the view public.v2",
    ),
    "a materialised view": (
        ["CREATE MATERIALIZED VIEW m AS SELECT n FROM orders"],
        WIDER,
        "the materialized view public.m",
    ),
    "a generated column": (
        ["ALTER TABLE orders ADD g bigint GENERATED ALWAYS AS (n * 2) STORED"],
        WIDER,
        "the generated column public.orders.g",
    ),
    "a trigger's columns": (
        [FUNCTION.format("NULL"), TRIGGER.format("UPDATE OF n")],
        WIDER,
        "the trigger tr on public.orders",
    ),
    "a policy": (
        ["CREATE POLICY p ON orders USING (n > 1)"],
        WIDER,
        "the policy p on public.orders",
    ),
    "a publication": (
        ["CREATE PUBLICATION pub FOR TABLE orders WHERE (n > 1)"],
        WIDER,
        "the publication pub",
    ),
    "a publication's filter": (
        ["CREATE PUBLICATION pub FOR TABLE orders WHERE (n > 1)"],
        FIRST,
        "the publication pub",
    ),
    "a function": (
        ["CREATE FUNCTION g() RETURNS bigint LANGUAGE sql RETURN (SELECT max(n) FROM orders)"],
        WIDER,
        "the function public.g()",
    ),
    "a row type": (["CREATE TABLE other (o orders)"], WIDER, "the table column public.other.o"),
    "a parent": (
        ["CREATE TABLE parent (n bigint)", "ALTER TABLE orders INHERIT parent"],
        WIDER,
        "the table public.parent",
    ),
    "an index on an expression": (
        ["CREATE INDEX ix ON orders ((n + 1))"],
        WIDER,
        "the index public.ix",
    ),
    "a check of the type": (
        ["ALTER TABLE orders ADD CONSTRAINT ck CHECK (n < 9999)"],
        WIDER,
        "the table constraint ck on public.orders",
    ),
    "a check": (
        ["ALTER TABLE orders ADD CONSTRAINT ck CHECK (n < 1000)"],
        NEW,
        "the check constraint ck on public.orders",
    ),
    "a foreign key": (
        [
            "CREATE TABLE other (n bigint PRIMARY KEY)",
            "INSERT INTO other VALUES (1)",
            "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (n) REFERENCES other",
        ],
        NEW,
        "the foreign key fk on public.orders",
    ),
    "a late foreign key": (
        [
            "CREATE TABLE other (n bigint PRIMARY KEY)",
            "INSERT INTO other VALUES (1)",
            "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (n) REFERENCES other "
            "DEFERRABLE INITIALLY DEFERRED",
        ],
        NEW,
        "the foreign key fk on public.orders",
    ),
    "NOT NULL": (
        [
            "ALTER TABLE orders ADD mine text NOT NULL DEFAULT 'x'",
            "ALTER TABLE orders ALTER mine DROP DEFAULT",
        ],
        NEW,
        "NOT NULL of the column mine of public.orders",
    ),
    "a unique index": (
        ["CREATE UNIQUE INDEX uq ON orders ((1))"],
        NEW,
        "the unique index uq on public.orders",
    ),
    "a rule": (
        ["CREATE RULE r AS ON INSERT TO orders DO INSTEAD NOTHING"],
        NEW,
        "the rule r on public.orders",
    ),
    "a trigger that raises": (
        [FUNCTION.format("RAISE EXCEPTION 'no %', new.id"), TRIGGER.format("INSERT")],
        NEW,
        "the trigger tr on public.orders",
    ),
    "a trigger that swallows": (
        [FUNCTION.format("RETURN NULL"), TRIGGER.format("INSERT")],
        NEW,
        "the trigger tr on public.orders (1 row did not arrive in it)",
    ),
    "a view in its place": (
        ["ALTER TABLE orders RENAME TO o2", "CREATE VIEW orders AS TABLE o2"],
        NEW,
        "public.orders exists and is not a table",
    ),
    "a rename": (["ALTER TABLE orders RENAME TO o2"], NEW, "public.orders is gone"),
}
MADE_AGAIN = (
    "CREATE TABLE kept AS FROM orders",
    "DROP TABLE orders",
    "CREATE TABLE orders "
    "(id VARCHAR{key}, n BIGINT{n}, _changed_at TIMESTAMPTZ, _commit BIGINT{more})",
    "INSERT INTO orders (id, n, _changed_at, _commit) SELECT id, n, _changed_at, _commit FROM kept",
)


def again(key: str = "", n: str = "", more: str = "") -> list[str]:
    """The same table, made by somebody who wants more of it."""
    return [each.format(key=key, n=n, more=more) for each in MADE_AGAIN]


DUCKDB = {
    "an index": (
        ["CREATE INDEX ix ON orders (n)"],
        WIDER,
        "column n of main.orders cannot become JSON, because of the index main.ix",
    ),
    "an index of another column": (["CREATE INDEX ix ON orders (id)"], WIDER, "the index main.ix"),
    "an index on an expression": (
        ["CREATE INDEX ix ON orders ((n + 1))"],
        WIDER,
        "the index main.ix",
    ),
    "a generated column": (
        again(more=", g BIGINT GENERATED ALWAYS AS (n * 2)"),
        WIDER,
        "the generated column g of main.orders",
    ),
    "a check of the type": (again(n=" CHECK (n < 9999)"), WIDER, "orders_n_check on main.orders"),
    "a check": (again(n=" CHECK (n < 1000)"), NEW, "orders_n_check on main.orders"),
    "a unique index": (["CREATE UNIQUE INDEX uq ON orders (n)"], TWIN, "the unique index main.uq"),
    "a unique constraint": (again(n=" UNIQUE"), WIDER, "orders_n_key on main.orders"),
    "a check that computes": (
        again(n=" CHECK ((9223372036854775807 - 5000 + n) > 0)"),
        {**NEW, "n": {"N": "6000"}},
        "orders_n_check on main.orders",
    ),
    "a foreign key": (
        [
            "CREATE TABLE other (n BIGINT PRIMARY KEY)",
            "INSERT INTO other VALUES (1)",
            *again(n=" REFERENCES other (n)"),
        ],
        NEW,
        "REFERENCES other(n)",
    ),
    "a foreign key elsewhere": (
        [
            *again(key=" PRIMARY KEY"),
            "CREATE TABLE lines (o VARCHAR REFERENCES orders (id))",
            "INSERT INTO lines VALUES ('a')",
        ],
        FIRST,
        "on main.lines",
    ),
    "NOT NULL": (
        [
            "ALTER TABLE orders ADD COLUMN mine VARCHAR",
            "UPDATE orders SET mine = 'x'",
            "ALTER TABLE orders ALTER mine SET NOT NULL",
        ],
        NEW,
        "NOT NULL of the column mine of main.orders",
    ),
    "a view in its place": (
        ["ALTER TABLE orders RENAME TO o2", "CREATE VIEW orders AS FROM o2"],
        NEW,
        "main.orders is now a view",
    ),
    "a rename": (["ALTER TABLE orders RENAME TO o2"], NEW, "main.orders is gone"),
}


def refused(story: Story, item: dict[str, object], names: str) -> None:
    """The write is refused by name, with a way out and without a value, and nothing is kept."""
    before = story.state()
    with pytest.raises(DestinationRefused, match=re.escape(names)) as caught:
        story.tail(put(item))
    assert caught.value.hint
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__context__
    after = story.state()
    assert (after.cursors, after.commit) == (before.cursors, before.commit)


@pytest.fixture
def no_publications(postgres: Database) -> None:
    """They belong to the database, and outlive its schemas."""
    for (name,) in postgres.by_hand("SELECT pubname::text FROM pg_publication"):
        postgres.by_hand(f"DROP PUBLICATION {name}")


@pytest.mark.parametrize(("changes", "item", "names"), POSTGRES.values(), ids=POSTGRES)
@pytest.mark.usefixtures("no_publications")
def test_what_is_in_the_way_in_postgres_is_named(postgres, changes, item, names):
    story = told(postgres)
    story.tail(put(FIRST))
    postgres.by_hand(*changes)
    refused(story, item, names)


@pytest.mark.parametrize(("changes", "item", "names"), DUCKDB.values(), ids=DUCKDB)
def test_what_is_in_the_way_in_duckdb_is_named(tmp_path, changes, item, names):
    path = tmp_path / "warehouse.duckdb"
    story = Story(DuckDBDestination(path))
    story.plan()
    story.tail(put(FIRST))
    with duckdb_file.opened(path) as connection:
        for change in changes:
            connection.execute(change)
    refused(story, item, names)


def test_a_view_on_another_column_is_not_in_the_way(postgres):
    story = told(postgres)
    story.tail(put(FIRST))
    postgres.by_hand(
        "CREATE VIEW v AS SELECT id FROM orders", "CREATE VIEW w AS SELECT n FROM orders"
    )
    with pytest.raises(DestinationRefused) as caught:
        story.tail(put(WIDER))
    assert "public.w" in caught.value.message and "public.v" not in caught.value.message
    postgres.by_hand("DROP VIEW w")
    story.tail(put(WIDER))
    story.shows(WIDER)


def test_a_table_that_others_depend_on_is_not_dropped(postgres):
    story = told(postgres)
    story.tail(put(FIRST))
    postgres.by_hand(
        "CREATE SCHEMA bi",
        "CREATE VIEW bi.report AS SELECT n FROM orders",
        "CREATE TABLE lines (o text REFERENCES orders (id))",
    )
    with pytest.raises(DestinationRefused) as caught:
        story.destination.reset("orders", drop=True)
    for name in ("table public.orders cannot be dropped", "view bi.report", "on public.lines"):
        assert name in caught.value.message
    assert story.state().commit
    story.shows(FIRST)


def test_a_table_that_others_depend_on_is_not_dropped_from_a_file(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    story = Story(DuckDBDestination(path))
    story.plan()
    story.tail(put(FIRST))
    with duckdb_file.opened(path) as connection:
        for change in again(key=" PRIMARY KEY"):
            connection.execute(change)
        connection.execute("CREATE TABLE lines (o VARCHAR REFERENCES orders (id))")
    with pytest.raises(DestinationRefused, match=r"orders cannot be dropped, because of .*lines"):
        story.destination.reset("orders", drop=True)
    story.shows(FIRST)


def test_a_privilege_that_is_taken_away_is_named_with_its_table(postgres):
    role = postgres.role(
        "GRANT CREATE ON DATABASE " + postgres.name + " TO {role}",
        "GRANT USAGE, CREATE ON SCHEMA public TO {role}",
    )
    story = told(postgres, role)
    story.tail(put(A))
    postgres.by_hand(f"REVOKE INSERT ON orders FROM {postgres.roles[-1]}")
    with pytest.raises(DestinationRefused, match=r"public\.orders: .*denied for table orders"):
        story.tail(put(B))
    postgres.by_hand(
        f"ALTER TABLE orders OWNER TO {postgres.by_hand('SELECT current_user::text')[0][0]}"
    )
    with pytest.raises(DestinationRefused, match="orders belongs to another role"):
        story.tail(put(B))


def test_what_passes_by_itself_is_no_refusal(postgres):
    story = told(postgres)
    story.tail(put(A))
    with postgres._connect() as other, other.cursor() as cursor:
        other.adbc_connection.set_autocommit(False)
        cursor.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ConnectorError) as caught:
            story.tail(put(B))
        other.rollback()
    assert caught.value.exit_code == 4
    story.tail(put(B))
    story.shows(A, B)
