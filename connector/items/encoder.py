"""Items → rows, a page at a time: no Python object per item outlives its page."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from connector.core.keys import KeySchema
from connector.core.rows import field_of
from connector.core.schema import NULL, Type
from connector.core.spec import DEFAULT_MAX_COLUMNS, EVERYTHING, Limits
from connector.core.texts import Malformed
from connector.items import columns, values, wire
from connector.items import limits as storable
from connector.items.contracted.judging import Judge
from connector.items.decoders import GROWTH, Decoders, some_of
from connector.items.keys import key_of, key_text_in
from connector.items.records import REPLICATION_PREFIX, UNDECODABLE
from connector.items.ruled.places import Ruled, place_of
from connector.items.ruled.ruling import Ruling
from connector.items.shapes import ABSENT, PlaceLimit, Shape, column_of, fits_struct


@dataclass(frozen=True)
class BadItem:
    """An item that cannot be stored: its place in the input, its raw form and the reason.

    Neither its raw form nor its key holds anything that the table's rules hide.
    """

    index: int
    raw: bytes
    reason: str
    key: str | None = None
    """Its canonical key, if that can be read."""


@dataclass(frozen=True)
class Encoded:
    """The rows of the good items, in order, and the bad ones."""

    rows: pa.Table
    bad: Sequence[BadItem] = ()
    misfits: Mapping[str, int] = field(default_factory=dict)
    """How many values did not fit the declared type of their column, by attribute."""


_MISFITS = (Malformed, *UNDECODABLE)
_generic = msgspec.json.Decoder(dict[str, Any])


class Encoder:
    """Turns items of one table into rows, learning its attributes as they come.

    A page is decoded straight into structs made for the attributes and types seen so far, which
    is several times faster than decoding into dictionaries. A page that does not fit is examined
    item by item: valid items are learnt, and invalid ones are returned as bad.
    """

    def __init__(
        self,
        keys: KeySchema,
        max_columns: int = DEFAULT_MAX_COLUMNS,
        packed: bool = False,
        limits: Limits = EVERYTHING,
        known: Collection[str] = (),
        ruling: Ruling | None = None,
        judge: Judge | None = None,
    ) -> None:
        """`known` attributes already have a column, so they get one in every row."""
        self._keys = keys
        self._row_keys = ruling.row_keys if ruling else keys
        self.ruling = ruling
        self._judge = judge
        self._limits = limits
        self._known = frozenset((*known, *(k.name for k in keys), *(judge.names if judge else ())))
        self._room = 0 if packed else max(0, max_columns - len(self._known))
        self._columned = {key.name: None for key in keys}
        """The attributes of rows that have a column, in order."""
        self._place_limit = PlaceLimit()
        self._shapes: dict[str, Shape | Ruled] = {
            key.name: Shape(self._place_limit, tags=(key.tag,)) for key in keys
        }
        self._by_item = packed
        if ruling:
            self._apply(ruling)
        self._by_item = self._by_item or not all(map(fits_struct, self._shapes))
        if not self._by_item:
            self._make_decoders()

    @property
    def limits(self) -> Limits:
        """What the destination can hold."""
        return self._limits

    def _apply(self, ruling: Ruling) -> None:
        """Prepares for the attributes with rules, which come before any others."""
        tags = {key.name: key.tag for key in self._keys}
        for name, source in ruling.sources.items():
            self._shapes[name] = place_of(source, self._place_limit, tags.get(name), self._of_cells)
            for made in source.names:
                self._give_column(made)
        if ruling.rules.unlisted == "exclude":
            # Attributes that no shape is for are skipped, so what is listed must have one.
            for name in ruling.listed:
                self._shapes[name] = Shape(self._place_limit)
                self._give_column(name)

    def encode_page(self, body: bytes) -> tuple[Encoded, str | None]:
        """The rows of a Scan answer, and the token after it, or None if the segment has ended.

        Raises BadAnswer if the body is not a Scan answer.
        """
        if not self._by_item and not storable.doubtful(self._limits, body):
            try:
                page = self._decoders.page.decode(body)
                rows = self._columns(page.Items) if page.Items else pa.table({})
                encoded = self._accepted(rows, lambda: wire.scan_page(body)[0])
                return encoded, wire.token(page.LastEvaluatedKey)
            except _MISFITS:
                items, token = wire.scan_page(body)
                return self._encode_checked(items), token
        items, token = wire.scan_page(body)
        return self._encode_checked(items), token

    def encode(self, items: Sequence[bytes], whole: Sequence[bool] | None = None) -> Encoded:
        """The rows of items in wire form; `rows` has only what items hold.

        An item that is not `whole` is only a key, and lacks nothing that the contract requires.
        """
        if not items:
            return Encoded(pa.table({}))
        body = _array(items)
        if self._by_item or storable.doubtful(self._limits, body):
            return self._encode_checked(items, whole)
        learnt = 0
        while True:
            try:
                rows = self._columns(self._decoders.items.decode(body))
                return self._accepted(rows, lambda: items, whole)
            except _MISFITS:
                learnt = learnt * GROWTH or 1
                if learnt >= len(items) or not self._learn_some(some_of(items, learnt)):
                    return self._encode_checked(items, whole)

    def _accepted(
        self,
        rows: pa.Table,
        items: Callable[[], Sequence[bytes]],
        whole: Sequence[bool] | None = None,
    ) -> Encoded:
        """The rows that the contract accepts; the `items` that they were made of are as bad."""
        if self._judge is None or not len(rows):
            return Encoded(rows)
        judged = self._judge.done(rows, whole)
        raws = items() if judged.refused else ()
        bad = [self._bad(index, raws[index], why) for index, why in judged.refused.items()]
        return Encoded(judged.rows, bad, judged.misfits)

    def _learn_some(self, items: Sequence[bytes]) -> bool:
        """Learns from items; true if all are valid and structs fit them from now on."""
        try:
            for raw in items:
                self._learn(raw)
        except Malformed:
            valid = False
        else:
            valid = not self._by_item
        # What was learnt before one that is not valid counts as known from now on.
        if not self._by_item:
            self._make_decoders()
        return valid

    def _encode_checked(
        self, items: Sequence[bytes], whole: Sequence[bool] | None = None
    ) -> Encoded:
        good: dict[int, bytes] = {}
        bad: list[BadItem] = []
        learnt = False
        for index, raw in enumerate(items):
            readable = self._readable(raw)
            try:
                learnt = self._learn(readable) or learnt
            except Malformed as error:
                bad.append(self._bad(index, raw, str(error)))
            else:
                good[index] = readable
        if not good:
            return Encoded(pa.table({}), bad)
        if learnt and not self._by_item:
            self._make_decoders()
        if self._by_item:
            rows = self._item_by_item([*good.values()])
        else:
            rows = self._columns(self._decoders.items.decode(_array([*good.values()])))
        places = list(good)
        raws, of_good = [items[i] for i in places], whole and [whole[i] for i in places]
        encoded = self._accepted(rows, lambda: raws, of_good)
        refused = [replace(each, index=places[each.index]) for each in encoded.bad]
        bad = sorted([*bad, *refused], key=lambda each: each.index)
        return Encoded(encoded.rows, bad, encoded.misfits)

    def _readable(self, raw: bytes) -> bytes:
        """The item, without what nobody needs of it if it cannot be decoded."""
        if self.ruling is None:
            return raw
        try:
            _generic.decode(raw)
        except UNDECODABLE:
            return self.ruling.readable(raw)
        return raw

    def _bad(self, index: int, raw: bytes, reason: str) -> BadItem:
        if self.ruling is None:
            return BadItem(index, raw, reason, key_text_in(self._keys, raw))
        reason, shown = self.ruling.quarantined(reason, self.ruling.shown(raw))
        return BadItem(index, shown.encode(), reason, self.ruling.key_text_in(raw))

    def _learn(self, raw: bytes) -> bool:
        item = decoded(self._keys, raw)
        row = self.ruling.applied(item) if self.ruling else item
        for value in row.values():
            values.plain(value)
        storable.check(self._limits, self._row_keys, row)
        for name in row:
            self._give_column(name)
        learnt = False
        for name, value in item.items():
            shape = self._shapes.get(name)
            if shape is None:
                row_name = self.ruling.row_name(name) if self.ruling else name
                if row_name not in self._columned:
                    continue
                self._by_item = self._by_item or not fits_struct(name)
                shape = self._shapes[name] = Shape(self._place_limit)
            learnt = shape.learn(value) or learnt
        return learnt

    def _give_column(self, name: str) -> None:
        """Gives an attribute a column if there is room; without room, items are decoded singly."""
        if name in self._columned:
            return
        if name not in self._known:
            if not self._room:
                self._by_item = True
                return
            self._room -= 1
        self._columned[name] = None

    def _make_decoders(self) -> None:
        keys = {key.name for key in self._keys}
        skips = self.ruling is not None and self.ruling.rules.unlisted == "exclude"
        self._decoders = Decoders.of(self._shapes, keys, ABSENT, others=skips)

    def _columns(self, items: list[Any]) -> pa.Table:
        arrays: list[pa.Array] = []
        fields: list[pa.Field] = []
        # Tuples by item become tuples by attribute, in the order of the fields.
        values_of = zip(
            self._decoders.attributes, zip(*map(astuple, items), strict=True), strict=True
        )
        found = dict(values_of)
        if self._judge:
            self._judge.begin()
        for source, shape in self._shapes.items():
            for name, made in self._made(source, shape, found[source]):
                if made[0] is not NULL and not name.startswith(REPLICATION_PREFIX):
                    fields.append(field_of(name, made[0]))
                    arrays.append(made[1])
        rows = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        storable.check_keys(self._limits, self._row_keys, rows)
        return rows

    def _made(
        self, source: str, shape: Shape | Ruled, found: Sequence[Any]
    ) -> Sequence[tuple[str, tuple[Type, pa.Array]]]:
        """The columns of one attribute's values."""
        if not isinstance(shape, Shape):
            return shape.columns(found, ABSENT)
        name = (self.ruling.row_name(source) if self.ruling else source) or source
        if self._judge and self._judge.casts(name):
            return [(name, self._judge.of_shape(name, found, shape))]
        made = column_of(found, shape)
        return [(name, made)] if made else []

    def _of_cells(self, name: str, cells: Sequence[columns.Cell | None]) -> tuple[Type, pa.Array]:
        """The column of an attribute's values that are given with their tags."""
        if self._judge and self._judge.casts(name):
            return self._judge.of_cells(name, cells)
        return columns.of_cells(cells)

    def _item_by_item(self, items: Sequence[bytes]) -> pa.Table:
        if self._judge:
            self._judge.begin()
        made = map(_generic.decode, items)
        rows = map(self.ruling.applied, made) if self.ruling else made
        return columns.of_rows(list(rows), self._columned, self._of_cells)


def decoded(keys: KeySchema, raw: bytes) -> dict[str, Any]:
    """The item as Python values in wire form. Raises Malformed if it has no valid key."""
    try:
        item: dict[str, Any] = _generic.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed("an item that is not an object, or text that is not Unicode") from error
    except RecursionError as error:
        raise Malformed("an item nested too deeply") from error
    key_of(keys, item)
    return item


def _array(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"
