"""Counts, lists and durations as people read them."""

from collections.abc import Sequence


def counted(number: int, thing: str, things: str = "") -> str:
    """A number and what it counts: `1 row`, `8,000 rows`. `things` is an irregular plural."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def joined(texts: Sequence[str], last: str = "or") -> str:
    """A list in a sentence: `a`, `a or b`, `a, b or c`."""
    *others, final = texts
    return f"{', '.join(others)} {last} {final}" if others else final


def first_few(texts: Sequence[str], most: int, more: str = "more") -> list[str]:
    """The first texts, and the number of any others: `["a", "b", "3 more"]`."""
    left = len(texts) - most
    return [*texts[:most], *([f"{left} {more}"] if left > 0 else [])]


def lasting(seconds: float) -> str:
    """A duration in its one or two largest units: `12 s`, `3 min`, `5 h 12 min`, `2 d 3 h`.

    It is truncated, so that remaining time is never overstated.
    """
    whole = int(abs(seconds))
    sign = "-" if seconds <= -1 else ""
    if whole < 60:
        return f"{sign}{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{sign}{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{sign}{hours} h" + (f" {minutes} min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{sign}{days} d" + (f" {hours} h" if hours else "")
