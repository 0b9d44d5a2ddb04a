"""What Postgres cannot hold: a NUL, a long key, a row that is wider than a page."""

import json
import random
import string
from base64 import b64encode

import pytest

from connector.core.keys import KeyAttribute
from connector.core.spec import Deletes
from connector.destinations.postgres.session.limits import LIMITS
from connector.items.encoder import Encoder
from tests.rigs.combinations import turn
from tests.rigs.postgres import Database

from .items import A, B
from .postgres_story import limited, told, types_of
from .story import delete, put


@pytest.fixture
def postgres(kept_postgres: Database) -> Database:
    """How the state is made is not what these tests are about."""
    return kept_postgres


UNSTORABLE = [
    {"v": {"S": "a\0b"}},
    {"v": {"M": {"x": {"L": [{"S": "\0"}]}}}},
    {"v": {"M": {"x\0": {"N": "1"}}}},
    {"v": {"SS": ["a", "\0"]}},
    {"\0": {"N": "1"}},
]


@pytest.mark.by_turns("deletes")
@pytest.mark.parametrize("bad", UNSTORABLE)
@pytest.mark.parametrize("deletes", [Deletes.APPLY, Deletes.SOFT])
def test_an_item_with_a_nul_is_quarantined_and_leaves_no_older_row(postgres, bad, deletes):
    story = limited(postgres, deletes=deletes)
    story.tail(put(A), put(B))
    fold = story.fold(put(A | bad), delete(B))
    rows = fold.rows()
    assert (fold.counts.applied, fold.counts.quarantined) == (1, 1)
    committed = story.tail(rows=rows, quarantined=fold.quarantined)
    assert committed.quarantined == 1
    story.shows()
    ((key, reason, raw),) = postgres.by_hand("SELECT key, reason, raw FROM _connector.quarantine")
    assert key == '["a"]'
    assert "NUL" in reason
    assert json.loads(raw)["dynamodb"]["NewImage"] == A | bad
    assert story.load(story.page(A, B, A | {"id": {"S": "c"}})).written == 1
    story.tail(put(A))
    story.shows(A, A | {"id": {"S": "c"}})


@pytest.mark.parametrize(
    "text", ["\\u0000", "\\\\u0000", "\\", "\u2400", "\x01", "\\0", "\ud7ff\ue000\U0010ffff"]
)
def test_what_only_looks_like_a_nul_is_kept(postgres, text):
    story = limited(postgres)
    item = {"id": {"S": text}, text: {"S": text}, "m": {"M": {text: {"L": [{"S": text}]}}}}
    story.tail(put(item))
    story.load(story.page(item | {"id": {"S": "2"}}))
    story.shows(item, item | {"id": {"S": "2"}})


def test_a_scanned_page_gives_what_it_cannot_hold_with_its_wire_form_and_key():
    encoder = Encoder((KeyAttribute("id", "S"),), limits=LIMITS)
    items = [A, A | {"v": {"S": "\0"}}, B]
    body = json.dumps({"Items": items, "Count": 3, "ScannedCount": 3}).encode()
    encoded, _ = encoder.encode_page(body)
    assert encoded.rows.column("item.id").to_pylist() == ["a", "b"]
    ((index, raw, key),) = [(bad.index, bad.raw, bad.key) for bad in encoded.bad]
    assert (index, json.loads(raw), key) == (1, items[1], '["a"]')


def test_the_longest_key_is_held_and_a_longer_one_quarantined(postgres):
    keys = (KeyAttribute("p", "S"), KeyAttribute("s", "B"))
    story = limited(postgres, keys)
    letters = random.Random(7)
    text = "".join(letters.choices(string.printable, k=1651))

    def item(length: int) -> dict[str, dict[str, str]]:
        return {"p": {"S": text}, "s": {"B": b64encode(letters.randbytes(length)).decode()}}

    longest, longer = item(1024), item(1025)
    fold = story.fold(put(longest), put(longer))
    assert len(fold.rows()) == 1
    (bad,) = fold.quarantined
    assert "2675 bytes" in bad.reason
    assert "shorten it at the source" in bad.reason
    story.tail(put(longest))
    story.shows(longest)
    story.load(story.page(longest))
    story.shows(longest)


def test_a_single_key_of_the_longest_kind_always_fits(postgres):
    story = limited(postgres)
    items = [{"id": {"S": "".join(random.Random(n).choices("äöüß€𝄞xyz", k=500))}} for n in range(3)]
    story.tail(*map(put, items))
    story.shows(*items)


def wide(kind: str, columns: int, key: str = "1") -> dict[str, dict[str, str]]:
    """An item of many attributes."""
    values = {
        "N": lambda n: {"N": str(n)},
        "decimal": lambda n: {"N": f"{n}.{10**20 + n}"},
        "huge": lambda n: {"N": f"{n + 1}E-120"},
        "S": lambda n: {"S": f"{n:023}"},
        "M": lambda n: {"M": {"n": {"N": f"{n}"}}},
    }
    return {"id": {"S": key}} | {f"a{n}": values[kind](n) for n in range(columns)}


TOO_WIDE = [("decimal", 500), ("N", 600), ("huge", 400), ("S", 400), ("M", 400)]


@pytest.mark.parametrize(("kind", "columns"), turn(TOO_WIDE, 0, at_once=2))
def test_a_row_that_is_too_wide_for_a_page_loses_nothing(postgres, kind, columns):
    story = told(postgres, max_columns=1500)
    story.encoder = Encoder(story.keys, 1500)
    one, two = wide(kind, columns), wide(kind, columns, "2")
    sparse = {name: value for name, value in wide(kind, columns, "3").items() if name[-1] in "d57"}
    story.tail(put(one), put(sparse))
    story.shows(one, sparse)
    story.load(story.page(two))
    story.shows(one, two, sparse)
    assert len(types_of(postgres)) == columns + len(("id", "_changed_at", "_commit", "_rest"))
    row = postgres.by_hand("SELECT _rest IS NULL FROM orders ORDER BY id")
    assert row == [(False,), (False,), (True,)]
    story.refresh()
    story.load(story.page(one, {"id": {"S": "2"}}))
    story.shows(one, {"id": {"S": "2"}})


def test_more_columns_than_postgres_has_go_to_the_rest(postgres):
    story = told(postgres, max_columns=10_000)
    story.encoder = Encoder(story.keys, 10_000)
    item = {"id": {"S": "1"}} | {f"a{n}": {"BOOL": True} for n in range(1700)}
    story.tail(put(item))
    story.shows(item)
    assert len(story.state().columns) == 1500
