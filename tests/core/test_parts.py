"""JSON text is taken apart into what Python's own parser finds in it, and nothing else passes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.texts import Malformed
from connector.items import parts
from tests.rigs.combinations import amount

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)
spacing = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


DRAWN = settings(
    max_examples=amount(100, by_turns=40), deadline=None, derandomize=True, database=None
)


def same(left: Any, right: Any) -> bool:
    """Equal, where a number that is none equals itself."""
    return json.dumps(left) == json.dumps(right)


def written(value: Any, style: dict[str, Any]) -> bytes:
    """The value as JSON text, lone surrogates as they would be in UTF-8."""
    return json.dumps(value, **style).encode(errors="surrogatepass")


@DRAWN
@given(st.dictionaries(st.text(max_size=3), anything), spacing)
def test_the_members_of_any_object(value: dict[str, Any], style: dict[str, Any]) -> None:
    found = parts.members(written(value, style))
    assert same({name: json.loads(raw) for name, raw in found.items()}, value)


@DRAWN
@given(st.lists(anything), spacing)
def test_the_elements_of_any_array(value: list[Any], style: dict[str, Any]) -> None:
    found = parts.elements(written(value, style))
    assert same([json.loads(raw) for raw in found], value)


@DRAWN
@given(st.lists(anything, min_size=1), st.data())
def test_a_text_that_is_cut_off_is_refused(value: list[Any], data: st.DataObject) -> None:
    text = json.dumps(value).encode()
    with pytest.raises(Malformed):
        parts.elements(text[: data.draw(st.integers(0, len(text) - 1))])


@DRAWN
@given(st.text(alphabet='[]{},:"\\u0d8 1-.eE+tn', max_size=12))
def test_what_pythons_parser_refuses_is_refused(inner: str) -> None:
    text = f"[{inner}]"
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(Malformed):
            parts.elements(text.encode())
    else:
        assert len(parts.elements(text.encode())) == len(expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", '{"a":1', '{"a":1}}', '{"a":1},', '{"a" 1}', "{a:1}", '{"a":1,}'),
        *('{"a":[1}', '{"a":{"b":1]}', '{"a":01}', '{"a":tru}', '{"a":"\\q"}', '{"a":"\x01"}'),
        *('{"a":{"b":[1,]}}', '{"a":{"b"}}', '{"a":"\\u12g4"}', '{"a":+1}', '{"a":.5}', "{,}"),
    ],
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parts.members(text.encode())


def test_no_depth_is_too_much_and_no_byte_is_looked_at() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    text = b'{"deep":' + deep + b',"bytes":"\xff\xc0","lone":"\\ud800"}'
    assert parts.members(text) == {"deep": deep, "bytes": b'"\xff\xc0"', "lone": b'"\\ud800"'}
