"""Bad routes: one sentence that names the file, the table, the entry and the key."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.config.loading import load
from connector.core.routes.routes import Condition, Route, Router, Routes, routes_of
from connector.core.spec import check_routes
from connector.errors import ConfigError

A: dict[str, Any] = {"when": {"kind": "a"}, "into": "a"}
ELSE: dict[str, Any] = {"else": "other"}

BAD: list[tuple[Any, str]] = [
    ([], "must be a list of routes"),
    ("customers", "must be a list of routes"),
    ({"when": {"kind": "a"}}, "must be a list of routes"),
    ([A], "entry 1: the last route must be an else"),
    ([ELSE, A], "entry 1: only the last route can be an else"),
    ([A, ELSE, ELSE], "entry 2: only the last route can be an else"),
    ([{**ELSE, "into": "a"}], "entry 1: an else has nothing beside it"),
    ([{**A, **ELSE}, ELSE], "entry 1: an else has nothing beside it"),
    ([A, {"else": "A"}], "a and A are one table in the destination"),
    ([{"else": "skip"}], "no route leads into a table"),
    ([{"into": "a"}, ELSE], "entry 1: it has no when"),
    ([{"when": {"kind": "a"}}, ELSE], "entry 1: it has no into"),
    ([{}, ELSE], "entry 1: it has no when"),
    ([A, "other"], "entry 2: it is not a route"),
    ([{**A, "to": "b"}, ELSE], "entry 1: to is not a known key"),
    ([{"when": {}, "into": "a"}, ELSE], "entry 1: when is empty"),
    ([{"when": None, "into": "a"}, ELSE], "entry 1: when must name attributes"),
    ([{"when": ["kind"], "into": "a"}, ELSE], "entry 1: when must name attributes"),
    ([{"when": {"kind": ["a", "b"]}, "into": "a"}, ELSE], "entry 1: when.kind: an attribute must"),
    ([{"when": {"kind": {"S": "a"}}, "into": "a"}, ELSE], "entry 1: when.kind: an attribute must"),
    ([{"when": {"kind": float("nan")}, "into": "a"}, ELSE], "when.kind: an attribute must"),
    ([{"when": {"info.kind": "a"}, "into": "a"}, ELSE], "when.info.kind: routes look at whole"),
    ([{"when": {"kinds[]": "a"}, "into": "a"}, ELSE], "routes look at whole attributes"),
    ([{"when": {"": "a"}, "into": "a"}, ELSE], "this is not the name of an attribute"),
    ([{"when": {"a\\": "a"}, "into": "a"}, ELSE], "this is not the name of an attribute"),
    ([{"when": {"kind": "a\\"}, "into": "a"}, ELSE], "when.kind: this is not a pattern"),
    ([{"when": {"kind": "a"}, "into": "skip"}, ELSE], "entry 1: into: skip does not leave items"),
    ([{"when": {"kind": "a"}, "into": ""}, ELSE], "entry 1: into must be the name of a table"),
    ([{"when": {"kind": "a"}, "into": 7}, ELSE], "entry 1: into must be the name of a table"),
    ([{"when": {"kind": "a"}, "into": "a\n"}, ELSE], "entry 1: into: a name must not hold"),
    ([A, {"else": None}], "entry 2: else must be the name of a table"),
]


def loaded(folder: Path, tables: dict[str, Any]) -> Any:
    file = folder / "connector.yaml"
    settings = {"destination": {"url": "duckdb:///w.duckdb"}, "tables": tables}
    # JSON is YAML, but for numbers that JSON has not.
    text = msgspec.json.encode(settings).decode()
    file.write_text(text)
    return load(file, environment={})


@pytest.mark.parametrize(("routes", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_a_bad_entry_is_named(tmp_path: Path, routes: Any, problem: str) -> None:
    if "nan" in str(routes):
        text = "{destination: {url: 'duckdb:///w'}, tables: {app: {routes: ["
        text += "{when: {kind: .nan}, into: a}, {else: b}]}}}"
        (tmp_path / "connector.yaml").write_text(text)
        with pytest.raises(ConfigError) as refused:
            load(tmp_path / "connector.yaml", environment={})
    else:
        with pytest.raises(ConfigError) as refused:
            loaded(tmp_path, {"app": {"routes": routes}})
    assert problem in refused.value.message
    assert "connector.yaml: tables.app.routes" in refused.value.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ({"app": {"into": "x"}}, "into and routes contradict"),
        (
            {
                "app": {
                    "history": True,
                    "routes": [
                        {"when": {"kind": "a"}, "into": "Other__history"},
                        {"else": "other"},
                    ],
                }
            },
            "one of its targets is called other__history",
        ),
        ({"app": {"history": True}, "a__history": {}}, "would both be written to a__history"),
        ({"app": {"changes": True}, "other__changes": {}}, "written to other__changes"),
        ({"app": {"follow": "exports"}}, "cannot be combined with routes"),
        ({"orders": {"into": "other"}}, "would both be written to other"),
        ({"OTHER": {}}, "would both be written to"),
        ({"two": {"routes": [A, ELSE]}}, "would both be written to"),
        ({"o": {"into": "x"}, "a__changes": {}}, ""),
    ],
)
def test_what_cannot_stand_beside_routes(
    tmp_path: Path, others: dict[str, Any], problem: str
) -> None:
    tables = {"app": {"routes": [A, ELSE], **others.get("app", {})}}
    tables |= {name: table for name, table in others.items() if name not in ("app", "o")}
    if not problem:
        assert loaded(tmp_path, tables).targets("app") == ("a", "other")
        return
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, tables)
    assert problem in refused.value.message


WHEN: list[tuple[Any, dict[str, Any] | None, bool]] = [
    ("C#*", {"S": "C#1"}, True),
    ("C#*", {"S": "C#"}, True),
    ("C#*", {"S": "c#1"}, False),
    ("C#*", {"N": "1"}, False),
    ("*#1", {"S": "C\n#1"}, True),
    ("a*c", {"S": "abbc"}, True),
    ("a*c", {"S": "abbcd"}, False),
    ("a.c", {"S": "abc"}, False),
    (r"a\*", {"S": "a*"}, True),
    (r"a\*", {"S": "ab"}, False),
    (r"a\\*", {"S": "a\\b"}, True),
    ("", {"S": ""}, True),
    ("*", {"S": ""}, True),
    ("*", {"B": "YQ=="}, False),
    ("*", {"SS": ["a"]}, False),
    ("*", None, False),
    ("2", {"N": "2"}, False),
    ("true", {"BOOL": True}, False),
    (2, {"N": "2"}, True),
    (2, {"N": "2.00"}, True),
    (2, {"N": "2e0"}, True),
    (2, {"N": "20E-1"}, True),
    (2, {"S": "2"}, False),
    (2, {"N": "2.0000000000000000000000000000000000001"}, False),
    (0, {"N": "-0"}, True),
    (0.1, {"N": "0.1"}, True),
    (0.1, {"N": "0.1000000000000000055511151231257827"}, False),
    (12345678901234567890123456789012345678, {"N": "12345678901234567890123456789012345678"}, True),
    (1, {"BOOL": True}, False),
    (1, {"N": "one"}, False),
    (1, {"N": None}, False),
    (True, {"BOOL": True}, True),
    (True, {"BOOL": False}, False),
    (True, {"N": "1"}, False),
    (False, {"BOOL": False}, True),
    (False, None, False),
    (None, None, True),
    (None, {"NULL": True}, True),
    (None, {"S": ""}, False),
]


HIDING: list[dict[str, Any]] = [
    {},
    {"columns": {"x": {"hash": True}}},
    {"columns": {"x": {"mask": "*"}}},
    {"columns": {"x": {"exclude": True}}},
    {"columns": {"y": {}}, "unlisted": "exclude"},
]


@pytest.mark.parametrize("hiding", HIDING, ids=["seen", "hashed", "masked", "excluded", "unlisted"])
@pytest.mark.parametrize(("wanted", "value", "matches"), WHEN)
def test_what_a_condition_matches(
    tmp_path: Path,
    wanted: Any,
    value: dict[str, Any] | None,
    matches: bool,
    hiding: dict[str, Any],
) -> None:
    routes = [{"when": {"x": wanted}, "into": "a"}, {"else": "skip"}]
    spec = loaded(tmp_path, {"app": {"routes": routes, **hiding}}).tables["app"].spec()
    item = {} if value is None else {"x": value}
    assert (Router(spec.routes).place(item) == 0) is matches
    assert routes_of(spec.plain()["routes"]) == spec.routes


@pytest.mark.parametrize("hiding", HIDING[1:], ids=["hashed", "masked", "excluded", "unlisted"])
@pytest.mark.parametrize("wanted", ["canary", r"can\ary", 73127312, 731.27312])
def test_routes_do_not_show_what_rules_hide(
    tmp_path: Path, wanted: Any, hiding: dict[str, Any]
) -> None:
    routes = [{"when": {"x": wanted}, "into": "a"}, {"else": "skip"}]
    settings = loaded(tmp_path, {"app": {"routes": routes, **hiding}}).tables["app"]
    spec = settings.spec()
    for shown in (json.dumps(spec.plain()["routes"]), str(spec.routes), repr(spec.routes)):
        assert not any(value in shown for value in ("canary", "ary", "7312"))
    check_routes("app", settings.routes, spec.routes)
    assert spec.routes.sealed() == spec.routes


def test_all_conditions_must_hold_and_the_first_route_wins() -> None:
    one = Condition("a", "text", "1")
    routes = Routes(
        (
            Route("both", (one, Condition("b", "null"))),
            Route("first", (one,)),
            Route("else"),
        )
    )
    place = Router(routes).place
    assert place({"a": {"S": "1"}}) == 0
    assert place({"a": {"S": "1"}, "b": {"S": "x"}}) == 1
    assert place({"b": {"S": "x"}}) == 2


def test_the_file_of_a_table_has_routes(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    routes = {"routes": [A, {"else": "skip"}]}
    (tmp_path / "schemas" / "app.yaml").write_text(msgspec.json.encode(routes).decode())
    assert loaded(tmp_path, {"app": {}}).targets("app") == ("a",)
    (tmp_path / "schemas" / "app.yaml").write_text('{"routes": [{"when": {"kind": "a"}}]}')
    with pytest.raises(ConfigError, match="entry 1: the last route must be an else") as refused:
        loaded(tmp_path, {"app": {}})
    assert "app.yaml" in refused.value.message
