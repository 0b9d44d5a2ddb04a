"""The scripted server as its own process, for load tests; it runs until its stdin ends.

python -m tests.rigs.scripted --table orders --items 1000000 --shape flat
"""

import argparse
import sys

from . import prerendered
from .clock import RunningClock
from .service import ScriptedDynamoDB

SHAPES = {
    "flat": prerendered.flat,
    "nested": prerendered.nested,
    "wide": prerendered.wide,
    "tiny": prerendered.tiny,
}


def main() -> None:
    """Serves one table until the parent process closes our stdin."""
    parser = argparse.ArgumentParser(prog="tests.rigs.scripted", description=__doc__)
    parser.add_argument("--table", default="load")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--shape", choices=SHAPES, default="flat")
    parser.add_argument("--keep", type=int, default=1024, help="pages kept in memory")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    table = prerendered.PrerenderedTable(
        options.table, options.items, SHAPES[options.shape], kept_pages=options.keep
    )
    table.render_all()
    rig = ScriptedDynamoDB(clock=RunningClock(), port=options.port)
    rig.calls.keep = False
    rig.add_prerendered(table)
    with rig:
        print(rig.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
