"""Named places where a test can kill the process, to prove that a crash there loses nothing."""

import os
import signal
from collections import Counter

VARIABLE = "CONNECTOR_FAILPOINT"
NAMES = (
    "plan.before_commit",
    "plan.after_commit",
    "scan.after_page",
    "spool.before_rename",
    "spool.after_rename",
    "load.before_insert",
    "load.before_commit",
    "load.after_commit",
    "load.before_drop",
    "tail.after_read",
    "tail.after_fold",
    "commit.after_schema",
    "commit.after_merge",
    "commit.before_commit",
    "commit.after_commit",
)
# Reached once in the life of a state, and never by a state that this version has created.
MIGRATION_NAMES = ("migrate.before_commit", "migrate.after_commit")

# Reached only where items are looked up: of a stream without images, or beside windows.
LOOK_UP_NAMES = ("tail.after_look_up",)

# Reached only if a copy is published.
PUBLISH_NAMES = ("publish.while_copying", "publish.before_rename", "publish.after_rename")

# Reached only by a repair.
MEND_NAMES = ("mend.before_plan", "mend.before_commit", "mend.after_commit")

_reached: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Kills this process with SIGKILL if CONNECTOR_FAILPOINT is `name` or `name:nth`."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    target, _, nth = wanted.partition(":")
    if target != name:
        return
    _reached[name] += 1
    if _reached[name] >= int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
