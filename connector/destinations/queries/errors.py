"""Errors of users' own queries: the database's own sentence, without values of items.

A value in the query itself is shown, since the user wrote it.
"""

import re

from connector.errors import QueryFailed

HIDDEN = "…"
EXCERPT_CHARACTERS = 100

NO_PARAMETERS = (
    "The query cannot be answered: it has parameters, which are not supported.",
    "Write the values in their place.",
)
NO_STATEMENT = ("There is no statement in the query.", "Write one that reads.")
SEVERAL = ("One statement at a time.", "Run them one after the other.")
WRITES = (
    "The query writes, and a query can only read.",
    "Change the items at the source; the table follows.",
)
NO_ROWS = (
    "The query cannot be answered: it is not a statement that returns rows.",
    "Write a SELECT, or another statement that reads.",
)
WHERE = "Correct it at the mark."
UNFIT_VALUE = (
    "A value does not fit its use in the query, for example a text where a number is needed. "
    f"{HIDDEN} stands for a value that is not shown, because it may be part of an item."
)

# The first of two equal quotes to the last that could end a value: one may hold quotes itself.
_QUOTED = re.compile(r"""(?P<quote>['"])(?P<inside>.*)(?P=quote)(?!\w)""", re.DOTALL)
_PART = re.compile(r"""(['"])(.*?)\1(?!\w)""", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])(?:0x[0-9A-Fa-f]+|\d[\d.]*(?:[eE][-+]?\d+)?)(?!\w)")


def without_values(sentence: str, sql: str) -> str:
    """The first line of a message from while rows were read, with `…` for their values."""

    def quoted(found: re.Match[str]) -> str:
        inside = [found["inside"]], [part[2] for part in _PART.finditer(found[0])]
        if any(all(text in sql for text in texts) for texts in inside):
            return found[0]
        return f"{found['quote']}{HIDDEN}{found['quote']}"

    text = _QUOTED.sub(quoted, sentence).lstrip().partition("\n")[0]
    return _NUMBER.sub(lambda found: found[0] if found[0] in sql else HIDDEN, text)


def in_one_line(text: str) -> str:
    """A sentence of several lines as one."""
    return " ".join(text.split())


def failed(sentence: str, hint: str, excerpt: tuple[str, ...] = ()) -> QueryFailed:
    """The error for a query that the database refuses, in the database's words."""
    return QueryFailed(f"The query cannot be answered: {in_one_line(sentence)}", hint, excerpt)


def excerpt_at(sql: str, position: int) -> tuple[str, ...]:
    """The line of a query that holds a character, counted from 0, and a mark below it."""
    begin = sql.rfind("\n", 0, position) + 1
    line = sql[begin:].partition("\n")[0]
    first = max(0, position - begin - EXCERPT_CHARACTERS // 2)
    shown = line[first : first + EXCERPT_CHARACTERS]
    head = f"LINE {sql.count(chr(10), 0, begin) + 1}: {'...' if first else ''}"
    tail = "..." if first + EXCERPT_CHARACTERS < len(line) else ""
    mark = " " * (len(head) + position - begin - first) + "^"
    return head + flat(shown) + tail, mark


def flat(text: str) -> str:
    """The text with a blank for each character that has no place of its own on a line."""
    return "".join(each if each.isprintable() else " " for each in text)
