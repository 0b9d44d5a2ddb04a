"""A table in a pipe looks as it would if it were drawn for a terminal of any width."""

import pytest

from connector.cli.screen import tables
from connector.cli.screen.visible import visible

CASES = {
    "numbers": (["n", "name"], [["1", "a"], ["22222", ""]]),
    "no rows": (["a", "b"], []),
    "one column": (["title"], [["x" * 300], ["y"]]),
    "an empty name": (["", "b"], [["1", "2"]]),
    "wide letters": (["日本", "e\u0301"], [["テ", "é"], ["x", "👩\u200d👩\u200d👧"]]),
    "brackets and colons": (["[b]"], [[":smile: [red]x[/red]"]]),
    "spaces": (["a", "b"], [["  x ", " "], ["", "  "]]),
    "two lines": (["a", "b"], [["x\ny", "z"]]),
    "too wide for a line": (["a", "b"], [["x" * 6_000, "y" * 6_000]]),
    "a name that moves": (["a\x1b[2Jb", "c"], [["1", "2"]]),
}


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize(("names", "rows"), CASES.values(), ids=CASES)
def test_a_table_in_a_pipe_is_the_one_that_is_drawn(
    names: list[str],
    rows: list[list[str]],
    folds: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    tables._print_drawn([*map(visible, names)], rows, folds)
    drawn = capsys.readouterr().out
    assert drawn
    tables.print_table(names, rows, folds)
    assert capsys.readouterr().out == drawn


def test_who_asks_for_colours_in_a_pipe_gets_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    tables.print_table(["a"], [["1"]])
    assert "\x1b[1m" in capsys.readouterr().out
