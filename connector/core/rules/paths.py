"""Paths into items: `info.secret`, `lines[].note`; a backslash takes the next character as it is.

A path is a tuple of steps: a text goes into the attribute or the map's member of that name, EACH
goes through the elements of a list or a set.
"""

EACH = None

Step = str | None
Path = tuple[Step, ...]

_SPECIAL = ".[]\\"


class PathError(ValueError):
    """A text that is not a path: what is wrong with it, and a hint."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def parse_path(text: str) -> Path:
    """The steps of a path. Raises PathError."""
    steps: list[Step] = []
    name: list[str] | None = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            if at + 1 == len(text):
                raise PathError("it ends with a lone backslash", r"Write \\ for a backslash.")
            _into(name).append(text[at + 1])
            at += 2
        elif character == ".":
            _end(steps, name)
            name = []
            at += 1
        elif character in "[]":
            if text[at : at + 2] != "[]":
                raise PathError(
                    f"it has {character} alone",
                    rf"Write [] for each element of a list, or \{character} for the character.",
                )
            _end(steps, name)
            steps.append(EACH)
            name = None
            at += 2
        else:
            _into(name).append(character)
            at += 1
    _end(steps, name)
    return tuple(steps)


def _into(name: list[str] | None) -> list[str]:
    if name is None:
        raise PathError("a name follows [] directly", "Write a dot between them: lines[].note.")
    return name


def _end(steps: list[Step], name: list[str] | None) -> None:
    """Ends a step. `name` is None after [], which has ended its own."""
    if name is None:
        return
    if not name:
        raise PathError(
            "a name in it is empty", r"Write \. for a dot that is part of a name, as in a\.b."
        )
    steps.append("".join(name))


def shown_path(path: Path) -> str:
    """The text of a path; `parse_path` reads it back."""
    text = ""
    for step in path:
        if step is EACH:
            text += "[]"
        else:
            text += ("." if text else "") + escaped(step)
    return text


def escaped(name: str) -> str:
    """A name with a backslash before each character that paths use."""
    return "".join(f"\\{each}" if each in _SPECIAL else each for each in name)
