"""Stories told to a Postgres database, by its owner or by a role with few privileges."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from connector.core.keys import KeySchema
from connector.core.rows import CHANGED_AT, field_of
from connector.core.schema import STRING
from connector.core.spec import DEFAULT_MAX_COLUMNS, TableSpec
from connector.core.state import Load
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.postgres.session.limits import LIMITS
from connector.destinations.registry import parse_url
from connector.items.encoder import Encoder
from tests.rigs.postgres import Database

from .story import EPOCH, KEYS, SEGMENT, Story


def told(
    database: Database, url: str = "", max_columns: int = DEFAULT_MAX_COLUMNS, **options: object
) -> Story:
    """A planned table, by another user where a url is given."""
    parsed = parse_url(url) if url else database.parsed
    defaults = {"lock_timeout": 0.2, "run_id": "run-1", "command": "sync"}
    spec = TableSpec(max_columns=max_columns)
    story = Story(PostgresDestination(parsed, **(defaults | options)), spec=spec)
    story.plan()
    return story


def types_of(database: Database, table: str = "orders") -> dict[str, str]:
    """The SQL type of each column."""
    rows = database.by_hand(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return dict(rows)


def limited(database: Database, keys: KeySchema = KEYS, **options: object) -> Story:
    """A story that tells everything, with what Postgres cannot hold quarantined."""
    story = Story(PostgresDestination(database.parsed), keys, text=lambda text: text, **options)
    story.encoder = Encoder(keys, limits=LIMITS)
    story.plan()
    return story


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


def commits(own: Database) -> int:
    """How many commits the runs say they made."""
    return own.by_hand("SELECT coalesce(sum(commits), 0)::bigint FROM _connector.runs")[0][0]


def pages(story: Story, count: int, meanwhile: object = None) -> Iterator[pa.Table]:
    """Pages of a load; something happens after the first."""
    for number in range(count):
        ids = [f"{number}-{row}" for row in range(1000)]
        times = pa.array([EPOCH] * 1000, CHANGED_AT.type)
        schema = pa.schema([field_of("id", STRING), field_of("text", STRING), CHANGED_AT])
        yield pa.table([ids, ["x" * 100] * 1000, times], schema=schema)
        if number == 0 and meanwhile:
            meanwhile()


def load_of(story: Story) -> Load:
    schema = {"id": STRING, "text": STRING}
    return Load("orders", story.generation, story.plan_id, schema, [SEGMENT], EPOCH)
