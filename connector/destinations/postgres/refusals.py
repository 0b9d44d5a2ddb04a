"""Finds the object of others that made Postgres refuse a statement, by its code and catalog."""

from collections.abc import Mapping, Sequence

from connector.core.words import counted
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.sql import Target, quoted
from connector.destinations.table.in_the_way import NotWidened, blocked, not_done
from connector.errors import ConnectorError, DestinationRefused

# Types and names as the server itself identifies them, in no language. A view depends by its rule,
# and a generated column by its default.
_DEPENDENTS = """
WITH subject AS (
    SELECT c.oid, c.reltype FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
), found AS (
    SELECT d.classid, d.objid, d.objsubid, d.deptype FROM pg_depend d JOIN subject s
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
    WHERE $3 = '' OR d.refobjsubid = (
        SELECT attnum FROM pg_attribute WHERE attrelid = s.oid AND attname = $3
    )
    UNION SELECT d.classid, d.objid, d.objsubid, d.deptype FROM pg_depend d JOIN subject s
    ON d.refclassid = 'pg_type'::regclass AND d.refobjid = s.reltype
    WHERE d.classid = 'pg_class'::regclass AND d.objid <> s.oid
    UNION SELECT 'pg_trigger'::regclass, t.oid, 0, 'a' FROM pg_trigger t JOIN subject s
    ON t.tgrelid = s.oid WHERE $3 = ''
    UNION SELECT 'pg_class'::regclass, i.inhparent, 0, 'p' FROM pg_inherits i JOIN subject s
    ON i.inhrelid = s.oid
), shown AS (
    SELECT f.deptype,
    CASE WHEN w.rulename = '_RETURN' THEN 'pg_class'::regclass
        WHEN g.oid IS NOT NULL THEN 'pg_class'::regclass ELSE f.classid END AS class,
    CASE WHEN w.rulename = '_RETURN' THEN w.ev_class
        WHEN g.oid IS NOT NULL THEN g.adrelid ELSE f.objid END AS object,
    CASE WHEN g.oid IS NOT NULL THEN g.adnum ELSE f.objsubid END AS part,
    g.oid IS NOT NULL AS generated
    FROM found f CROSS JOIN subject s
    LEFT JOIN pg_rewrite w ON f.classid = 'pg_rewrite'::regclass AND w.oid = f.objid
    LEFT JOIN pg_constraint k ON f.classid = 'pg_constraint'::regclass AND k.oid = f.objid
    LEFT JOIN pg_trigger t ON f.classid = 'pg_trigger'::regclass AND t.oid = f.objid
    LEFT JOIN pg_class i ON f.classid = 'pg_class'::regclass AND i.oid = f.objid AND f.objsubid = 0
    LEFT JOIN (
        SELECT d.oid, d.adrelid, d.adnum FROM pg_attrdef d JOIN pg_attribute a
        ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> ''
    ) g ON f.classid = 'pg_attrdef'::regclass AND g.oid = f.objid
    WHERE (f.classid <> 'pg_attrdef'::regclass OR g.oid IS NOT NULL)
    AND coalesce(k.contype NOT IN ('p', 'n'), true) AND NOT coalesce(t.tgisinternal, false)
    AND coalesce(i.relkind NOT IN ('S', 't'), true) AND f.classid <> 'pg_type'::regclass
)
SELECT DISTINCT CASE WHEN generated THEN 'generated column' ELSE o.type END AS type, o.identity,
    deptype = 'n' AS blocks_drop
FROM shown CROSS JOIN pg_identify_object(class, object, part) AS o ORDER BY 1, 2
"""
_REBUILT = frozenset(("index", "table constraint", "statistics object"))
"""What Postgres rebuilds if a column gets another type that allows it."""
_OF_WRITES = {
    "0A000": ("rule",),
    "42P10": ("publication relation",),
    "42501": ("policy",),
}
_ANY_WRITE = ("trigger", "rule", "generated column", "index", "table constraint")
_TEXT_IS_NAMES = ("0A", "2B", "2F", "3F", "42", "55")
"""Classes of errors with messages that contain names but no values."""
_CONSTRAINT = {"23503": "foreign key", "23505": "unique index", "23514": "check constraint"}


def in_the_way(
    connection: Connection,
    target: Target,
    said: Mapping[str, str],
    cause: DestinationRefused,
    widening: NotWidened | None,
    dropping: bool,
) -> ConnectorError:
    """A better error for one that a statement has met, which names what is in the way."""
    state = said.get("SQLSTATE", "")
    if not state:
        # The driver itself refused this, so no object is in the way.
        return cause
    text = f"SQLSTATE {state}"
    if state.startswith(_TEXT_IS_NAMES):
        text = f"{said.get('PRIMARY', '')}; {text}"
    if state.startswith("23"):
        return blocked(not_done(target, widening), [_constraint(state, said)], text)
    if state.startswith("54") or (state == "42501" and "polic" not in text):
        message = cause.message.partition(" (SQLSTATE")[0].rstrip(".")
        return DestinationRefused(f"The table {target}: {message} ({text}).", cause.hint)
    found = _dependents(connection, target, widening.column if widening else "")
    if state == "2BP01" and widening is None:
        names = [name for _, name, blocks_drop in found if blocks_drop]
        what = not_done(target, None, dropping=True)
        column = f"A column of {target} that is no longer used cannot be dropped"
        return blocked(what if dropping else column, names, text)
    names = _blocking(state, found, widening is not None)
    return blocked(not_done(target, widening), names, text)


def hooked(connection: Connection, target: Target) -> bool:
    """Whether a trigger of others runs for the rows of a table, and may drop some of them."""
    found = connection.run(
        "SELECT 1 AS found FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2 AND NOT t.tgisinternal LIMIT 1",
        [target.schema, target.name],
    )
    return bool(found)


def meddled(connection: Connection, target: Target) -> bool:
    """Whether a trigger or a rule of others has a say in what is written to a table."""
    found = connection.run(
        "SELECT 1 AS found FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind <> 'v' LIMIT 1",
        [target.schema, target.name],
    )
    return bool(found) or hooked(connection, target)


def views_on(connection: Connection, view: Target) -> list[str]:
    """What others made that uses a view."""
    return [name for _, name, blocks_drop in _dependents(connection, view, "") if blocks_drop]


def swallowed(
    connection: Connection, target: Target, missing: int, left: int = 0
) -> DestinationRefused:
    """The error for rows that a statement wrote and are missing, or deleted and are left."""
    found = _dependents(connection, target, "")
    names = [name for type_, name, _ in found if type_ in ("trigger", "rule")]
    what = f"{counted(missing, 'row')} did not arrive in it"
    if left:
        what = f"{counted(left, 'row')} {'was' if left == 1 else 'were'} not deleted from it"
    return blocked(not_done(target, None), names, what)


def _constraint(state: str, said: Mapping[str, str]) -> str:
    table = ".".join(said[each] for each in ("SCHEMA_NAME", "TABLE_NAME") if each in said)
    if state == "23502":
        return f"NOT NULL of the column {said.get('COLUMN_NAME', '')} of {table}"
    return f"{_CONSTRAINT.get(state, 'constraint')} {said.get('CONSTRAINT_NAME', '')} on {table}"


def _blocking(state: str, found: Sequence[tuple[str, str, bool]], widening: bool) -> list[str]:
    if widening:
        parents = [name for type_, name, _ in found if type_ == "table"]
        rebuilt = [name for type_, name, _ in found if type_ in _REBUILT]
        hard = [name for type_, name, _ in found if type_ not in _REBUILT and type_ != "table"]
        if state == "42P16":
            return parents
        return hard if state in ("0A000", "2BP01") and hard else rebuilt
    wanted = _OF_WRITES.get(state, _ANY_WRITE)
    return [name for type_, name, _ in found if type_ in wanted]


def _dependents(connection: Connection, target: Target, column: str) -> list[tuple[str, str, bool]]:
    """Whatever depends on a table: type, name, and whether it prevents dropping the table."""
    rows = connection.run(_DEPENDENTS, [target.schema, target.name, column])
    return [
        (row["type"], _name(row["type"], row["identity"]), row["blocks_drop"])
        for row in rows
        if row["identity"] != f"{quoted(target.schema)}.{quoted(target.name)}"
    ]


def _name(type_: str, identity: str) -> str:
    if type_ == "publication relation":
        return f"publication {identity.rpartition(' in publication ')[2]}"
    return f"{type_} {identity}"
