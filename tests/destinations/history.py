"""A whole history that a test can kill anywhere and run again."""

import os
import tempfile
from pathlib import Path

from connector.core.cursors import START, Cursor
from connector.core.state import Phase
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.registry import parse_url
from connector.failpoints import VARIABLE
from connector.ports import Destination
from tests.rigs.ready import ready

from .story import SHARD, Story, delete, put

CHANGES = [
    [put({"id": {"S": "a"}, "n": {"N": "1"}}), delete({"id": {"S": "b"}})],
    [put({"id": {"S": "c"}, "n": {"N": "1.5"}}), put({"id": {"S": "a"}, "new": {"S": "x"}})],
    [put({"id": {"S": "d"}, "n": {"S": "one"}}), delete({"id": {"S": "c"}})],
]
SCANNED = [{"id": {"S": each}, "n": {"N": "0"}} for each in "abcde"]
FINAL = [
    {"id": {"S": "a"}, "new": {"S": "x"}},
    {"id": {"S": "d"}, "n": {"S": "one"}},
    {"id": {"S": "e"}, "n": {"N": "0"}},
]
FAILPOINTS = [
    "plan.before_commit",
    "plan.after_commit",
    *(
        f"commit.{place}:{nth}"
        for place in ("after_schema", "after_merge", "before_commit", "after_commit")
        for nth in (1, 2)
    ),
    "load.before_insert",
    "load.before_commit",
    "load.after_commit",
]
"""Every place where a destination can be killed."""


def destination_at(place: str) -> Destination:
    """The destination of a DuckDB file's path, or of a Postgres url."""
    if place.startswith("postgresql:"):
        return PostgresDestination(parse_url(place), run_id="run")
    return DuckDBDestination(Path(place), run_id="run")


def tell(place: str) -> Story:
    """Goes on from wherever the destination stands to the end."""
    story = Story(destination_at(place))
    state = story.destination.read(story.table)
    if state is None:
        state = story.plan()
    story.plan_id, story.generation = state.plan_id, state.generation
    ends = [START, Cursor("2"), Cursor("4"), Cursor("6")]
    story.cursor = state.cursors[SHARD]
    for index in range(ends.index(story.cursor), len(CHANGES)):
        story.sequence = 2 * index
        story.tail(*CHANGES[index])
        if index == 1 and story.state().phase is Phase.LOADING:
            story.load(story.page(*SCANNED))
    if story.state().phase is Phase.LOADING:
        story.load(story.page(*SCANNED))
    return story


TELL = "from tests.destinations.history import tell; tell(sys.argv[1])"


def killed_at(failpoint: str, place: str) -> int:
    """The exit code of another process that tells the history until it is killed there."""
    environment = {**os.environ, VARIABLE: failpoint}
    waiting = ready("tests.destinations.history")
    return waiting.run(TELL, [place], Path(tempfile.gettempdir()), environment).code
