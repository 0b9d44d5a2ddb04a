"""Shell completion of table names."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

import typer

from connector.errors import ConnectorError

_BEFORE = "_CONNECTOR_COMPLETE_BEFORE"
_BREAK = re.compile(r"[:=]+")
_NAME = re.compile(r"[A-Za-z0-9_.:/-]+")


def tables(context: typer.Context, incomplete: str) -> list[str]:
    """The configured tables that begin with `incomplete` and are not given yet.

    A configuration that cannot be read offers none.
    """
    # Completion must be quick, so nothing slow is imported here.
    from connector.config.layers import listed_tables

    before = os.environ.get(_BEFORE, "")
    given = context.params.get("config")
    try:
        # The shell has not expanded ~ and $HOME yet.
        file = Path(os.path.expandvars(Path(given).expanduser())) if given else None
        listed = listed_tables(file, os.environ)
    except (ConnectorError, RuntimeError):
        return []
    named = context.params.get("tables") or ()
    return [
        table.removeprefix(before)
        for table in listed
        if table.startswith(before + incomplete) and table not in named and _NAME.fullmatch(table)
    ]


def rejoin(environment: MutableMapping[str, str]) -> None:
    """Rejoins words that bash has split at : and =, as in a url or an ARN.

    bash replaces only the part of the current word after the last colon. The part before it is
    kept in the environment for `tables`.
    """
    if environment.get("_CONNECTOR_COMPLETE") != "complete_bash" or "COMP_WORDS" not in environment:
        return
    pieces = environment["COMP_WORDS"].split("\n")
    at = int(environment.get("COMP_CWORD", "0"))
    words = _joined(pieces[: at + 1])
    word = words.pop() if at < len(pieces) else ""
    before = "" if word.startswith("-") else word[: word.rfind(":") + 1]
    environment["COMP_WORDS"] = "\n".join([*words, word.removeprefix(before)])
    environment["COMP_CWORD"] = str(len(words))
    environment[_BEFORE] = before


def _joined(pieces: list[str]) -> list[str]:
    words: list[str] = []
    for number, piece in enumerate(pieces):
        glued = number > 1 and (_BREAK.fullmatch(piece) or _BREAK.fullmatch(pieces[number - 1]))
        if glued:
            words[-1] += piece
        else:
            words.append(piece)
    return words
