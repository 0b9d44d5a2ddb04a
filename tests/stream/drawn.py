"""Schedules that dice draw: each action by its weight."""

import random
from collections.abc import Callable
from typing import Any

from .schedule import Schedule

CALLS = ("GetRecords", "Scan", "DescribeStream", "BatchGetItem")
VIEWS = ("NEW_AND_OLD_IMAGES", "KEYS_ONLY", "OLD_IMAGE", "NEW_IMAGE")


def play_random(schedule: Schedule, dice: random.Random, length: int, readers: int = 1) -> None:
    """A random schedule: so many actions, each by its weight."""
    some = dice.randrange
    actions: list[tuple[int, str, Callable[[], tuple[Any, ...]]]] = [
        (14, "write", lambda: (1 + some(8), some(10**6))),
        (2, "load", lambda: (some(20),)),
        (6, "grow", lambda: (some(99), 1 + some(3), dice.choice((0, 0, 10, 30)), some(3))),
        (2, "grow", lambda: (some(99), 2 + some(2), 0, 0, True)),
        (2, "close", lambda: (some(99),)),
        (2, "hide", lambda: (some(99), some(4))),
        (2, "lie", lambda: (some(99), dice.choice(("listed_open", "resolves")))),
        (5, "wait", lambda: (dice.choice((1, 30, 300, 1000, 3600, 4 * 3600, 9 * 3600)),)),
        (1, "wait", lambda: (3600 * (20 + some(10)),)),
        (6, "fault", lambda: (some(99), 1 + some(3), some(4))),
        (5, "during", lambda: (dice.choice(CALLS), some(6), 0)),
        (1, "disable", tuple),
        (1, "recreate", tuple),
        (1, "fail_over", lambda: (some(10**6), dice.choice((None, some(99))))),
        (2, "tune", lambda: (dice.choice((1, 3, 1000, 50_000)), 1 + some(3), readers)),
        (9, "sync", tuple),
        (4, "follow", lambda: (1 + some(4),)),
        (7, "crash", lambda: (some(99), 1 + some(3))),
        (3, "rival", lambda: (dice.choice(("GetRecords", "Scan", "GetShardIterator")), some(8))),
        (2, "back_up", tuple),
        (1, "restore", lambda: (some(9),)),
    ]
    weights = [weight for weight, _, _ in actions]
    for _ in range(length):
        _, name, draw = dice.choices(actions, weights)[0]
        arguments = draw()
        if name == "during":
            arguments = (*arguments[:2], some(10**6))
        if name in ("disable",) and not schedule.replica.model.streaming:
            continue
        schedule.trace.append(f"{name}{arguments}")
        getattr(schedule, name)(*arguments)
    schedule.trace.append("end()")
    schedule.end()
