"""The text of a user's own query, parsed as far as nesting it in another requires."""

import re

_TOKEN = re.compile(
    r"""
    (?P<silent> \s+ | --[^\n\r]* | ; )
    | (?P<comment> /\* )
    | [eE]' (?: [^'\\] | \\. | '' )* '
    | ' (?: [^'] | '' )* '
    | " (?: [^"] | "" )* "
    | (?P<word> [^\W\d][\w$]* )
    | (?P<dollars> \$ (?: [^\W\d]\w* )? \$ ) .*? (?P=dollars)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def one_statement(sql: str) -> tuple[str, str]:
    """The statement without what may follow it, and its first word.

    The database has confirmed that there is one, so there is no semicolon inside it.
    """
    place, start, end, first = 0, None, 0, ""
    while place < len(sql):
        token = _TOKEN.match(sql, place)
        place = _comment_end(sql, place) if token is None or token["comment"] else token.end()
        if token is None or token["comment"] or token["silent"]:
            continue
        start = token.start() if start is None else start
        end = place
        # A statement may begin with parentheses.
        first = first or (token["word"] or "").lower()
    return sql[start or 0 : end], first


def _comment_end(sql: str, place: int) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(sql, place):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    # If comments do not nest, the first end is the end.
    first = sql.find("*/", place)
    return len(sql) if first < 0 else first + 2
