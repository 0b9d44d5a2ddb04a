"""The scripted server as its own process, for load tests; it runs until its stdin ends.

    python -m tests.rigs.scripted --table orders --items 1000000 --shape flat

Its first line is its address. With --events the second is the sum of `revision` over the table
once all changes have arrived; they wait in the stream until a line comes from stdin.
"""

import argparse
import sys

from . import kinesis_backlog, prerendered
from .backlog import fill
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
    parser.add_argument("--events", type=int, default=0, help="changes that wait in the stream")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--kinesis", action="store_true", help="they wait in a Kinesis stream")
    options = parser.parse_args()
    table = prerendered.PrerenderedTable(
        options.table, options.items, SHAPES[options.shape], kept_pages=options.keep
    )
    table.render_all()
    rig = ScriptedDynamoDB(clock=RunningClock(), port=options.port)
    rig.calls.keep = False
    rig.add_prerendered(table)
    with rig:
        if options.kinesis:
            stream = rig.add_kinesis(table.name, shards=options.shards)
            waiting = kinesis_backlog.fill(table, stream, options.events)
        else:
            waiting = fill(table, options.events, options.shards)
        print(rig.url, waiting.total, sep="\n", flush=True)
        for _ in sys.stdin:
            waiting.release()


if __name__ == "__main__":
    main()
