"""Entries that cannot be meant: one sentence each, with the file, the table and the key."""

from pathlib import Path

import pytest

from connector.config.loading import load
from connector.core.rules.paths import EACH, PathError, parse_path, shown_path
from connector.errors import ConfigError

WRONG = {
    "email: {hash: true, mask: x}": "columns.email: hash and mask contradict each other",
    "email: {hash: true, exclude: true}": "columns.email: hash and exclude contradict",
    "email: {mask: x, exclude: true}": "columns.email: mask and exclude contradict",
    "email: {exclude: true, rename: x}": "columns.email: rename and exclude contradict",
    "x: {path: a.b, exclude: true}": "columns.x: path and exclude contradict",
    "x: {path: a.b, rename: y}": "columns.x: path and rename contradict",
    "email: {hsh: true}": "columns.email.hsh is not a known key",
    "email: hash": "columns.email must be a section",
    "email: [hash]": "columns.email must be a section",
    "email: {hash: 7}": "columns.email.hash must be true or false",
    "email: {mask: 1}": "columns.email.mask must be text",
    "email: {mask: true}": "columns.email.mask must be text",
    "email: {mask: }": "columns.email: mask has no value",
    "email: {hash: }": "columns.email: hash has no value",
    "email: {rename: ''}": "columns.email.rename must not be empty",
    'email: {rename: "a\\nb"}': "columns.email.rename: A name must not hold control characters",
    "email: {rename: _commit}": "columns.email: rename: _commit is a column",
    "email: {rename: _Rest}": "columns.email: rename: _Rest is a column",
    "_commit: {path: a.b}": "columns._commit: path: _commit is a column",
    "a.b: {rename: c}": "columns.a.b: rename names the column of a whole attribute",
    "a.b: {path: c.d}": "columns.a.b: path makes a column of its own",
    "a: {path: ''}": "columns.a.path must not be empty",
    "a: {path: b..c}": "columns.a.path: This is not a path",
    "a: {path: 'b[0]'}": "columns.a.path: This is not a path",
    "a: {path: '[]'}": "columns.a.path: This is not a path",
    "a: {path: 'b[]c'}": "columns.a.path: This is not a path",
    "a: {path: 'b\\'}": "columns.a.path: This is not a path",
    "'': {hash: true}": "columns: This is not a path",
    "a.: {hash: true}": "columns.a.: This is not a path",
    "'a]': {hash: true}": "columns.a]: This is not a path",
    "a: {rename: c}, b: {rename: C}": "columns: the columns of a and b would both be called C",
    "a: {rename: b}, b: {hash: true}": "columns: the columns of a and b would both be called b",
    "a: {rename: b}, b: {}": "columns: the columns of a and b would both be called b",
    "a: {rename: b}, b: {path: c.d}": "columns: the columns of a and b would both be called b",
    "a: {hash: true}, \\a: {mask: x}": "columns: two entries are about a",
    "a: {hash: true}, a.b: {mask: x}": "columns: a is hashed as a whole",
    "a: {exclude: true}, 'a[].b': {mask: x}": "columns: a is excluded as a whole",
    "'l[]': {mask: ''}, 'l[].b': {hash: true}": "columns: l[] is masked as a whole",
    "a: {hash: true}, x: {path: a.b}": "columns: a is hashed as a whole",
}


def loaded(folder: Path, columns: str, more: str = "") -> None:
    """Reads a file with these columns."""
    file = folder / "connector.yaml"
    table = f"tables:\n  orders:\n    columns: {{{columns}}}\n"
    file.write_text("destination: {url: 'duckdb:///w.duckdb'}\n" + table + more)
    load(file, environment={})


@pytest.mark.parametrize("columns", WRONG)
def test_one_sentence_says_what_is_wrong_and_where(columns: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, columns)
    assert f"{tmp_path}/connector.yaml: tables.orders.{WRONG[columns]}" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "columns",
    [
        "",
        "email: ",
        "email: {}",
        "email: {hash: false}",
        "email: {hash: true, rename: mail}",
        "x: {path: 'a.b[].c', hash: true}",
        "x: {path: a.b, mask: ''}",
        "address: {exclude: true}, city: {path: address.city}",
        "a: {rename: b}, b: {rename: a}",
        "a: {exclude: true}, b: {rename: a}",
        "a\\.b: {hash: true}, a.b: {mask: x}",
        "info.a: {hash: true}, info.b: {exclude: true}",
        "'l[][].x': {hash: true}",
    ],
)
def test_what_can_be_meant_is_accepted(columns: str, tmp_path: Path) -> None:
    loaded(tmp_path, columns)


def test_unlisted_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unlisted must be 'keep' or 'exclude'"):
        loaded(tmp_path, "", "    unlisted: drop\n")


def test_the_order_and_the_spelling_of_entries_change_nothing() -> None:
    from connector.core.rules.rules import Rule, Rules

    one = Rules.of({"a": Rule(hash=True), r"b\.c": Rule(mask="x"), "d": Rule()})
    other = Rules.of({r"b\.\c": Rule(mask="x"), r"\a": Rule(hash=True)})
    assert one == other


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("lines[].note", ("lines", EACH, "note")),
        ("l[][]", ("l", EACH, EACH)),
        (r"a\.b", ("a.b",)),
        (r"a\\.b", ("a\\", "b")),
        (r"a\[\]", ("a[]",)),
        (r"\n", ("n",)),
        ("ü ß", ("ü ß",)),
    ],
)
def test_a_path_is_read_and_written(text: str, path: tuple[str | None, ...]) -> None:
    assert parse_path(text) == path
    assert parse_path(shown_path(path)) == path


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "[]", "a[", "a]", "a[1]", "a[]b", "\\"]
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(PathError):
        parse_path(text)
