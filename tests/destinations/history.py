"""A whole history that a test can kill anywhere and run again: `python -m … PATH`."""

import sys
from pathlib import Path

from connector.core.cursors import START, Cursor
from connector.core.state import Phase
from connector.destinations.duckdb import DuckDBDestination

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


def tell(path: Path) -> Story:
    """Goes on from wherever the file stands to the end."""
    story = Story(DuckDBDestination(path, run_id="run"))
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


if __name__ == "__main__":
    tell(Path(sys.argv[1]))
