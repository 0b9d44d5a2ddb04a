"""Items → rows for several targets: each item goes to the encoder of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pyarrow as pa

from connector.core.keys import KeySchema
from connector.core.routes.parts import placed
from connector.core.routes.routes import SKIP, Router, Routes
from connector.core.rows import combine
from connector.core.spec import Limits
from connector.items import parts, wire
from connector.items.encoder import BadItem, Encoded, Encoder
from connector.items.keys import item_of_key, key_in
from connector.items.records import UNDECODABLE
from connector.items.ruled.ruling import Ruling
from connector.items.shapes import fits_struct


class RoutedEncoder:
    """Turns items of one table into rows that say where each goes; see `core.routes.parts`.

    Routes see items as they are, before any rules. An item that is left out has a row with its key
    alone, since it may have been in a target before; a scan needs none.
    """

    def __init__(
        self, keys: KeySchema, routes: Routes, encoders: Sequence[Encoder], skipped: Encoder
    ) -> None:
        """`encoders` are those of the targets, in order; `skipped` makes rows of keys."""
        self._keys = keys
        self._encoders = encoders
        self._skipped = skipped
        self._row_keys = [key.name for key in keys]
        self._router = Router(routes)
        self._attributes = routes.attributes
        self._decoder = _decoder(routes.attributes)

    @property
    def limits(self) -> Limits:
        """What the destination can hold."""
        return self._skipped.limits

    @property
    def ruling(self) -> Ruling | None:
        """The rules of the table."""
        return self._skipped.ruling

    def encode_page(self, body: bytes) -> tuple[Encoded, str | None]:
        """The rows of a Scan answer, and the token after it, or None if the segment has ended.

        Raises BadAnswer if the body is not a Scan answer.
        """
        items, token = wire.scan_page(body)
        grouped = {
            place: indices for place, indices in self._grouped(items).items() if place != SKIP
        }
        made = self._encoded(items, grouped)
        return made.encoded(combine(made.tables)), token

    def encode(self, items: Sequence[bytes], whole: Sequence[bool] | None = None) -> Encoded:
        """The rows of items in wire form, in their order; one that is not `whole` is only a key."""
        made = self._encoded(items, self._grouped(items), whole)
        if not made.tables:
            return made.encoded(pa.table({}))
        at = sorted(range(len(made.order)), key=made.order.__getitem__)
        return made.encoded(combine(made.tables).take(pa.array(at, pa.int64())))

    def _encoded(
        self,
        items: Sequence[bytes],
        grouped: Mapping[int, Sequence[int]],
        whole: Sequence[bool] | None = None,
    ) -> "_Made":
        made = _Made()
        for place, indices in grouped.items():
            wholes = None if whole is None else [whole[index] for index in indices]
            encoded = self._of(place, [items[index] for index in indices], wholes)
            wrong = {each.index for each in encoded.bad}
            made.bad += [replace(each, index=indices[each.index]) for each in encoded.bad]
            made.order += [index for at, index in enumerate(indices) if at not in wrong]
            made.misfits.update(encoded.misfits)
            if len(encoded.rows):
                made.tables.append(placed(encoded.rows, place, self._row_keys))
        return made

    def _of(self, place: int, items: Sequence[bytes], whole: Sequence[bool] | None) -> Encoded:
        if place != SKIP:
            return self._encoders[place].encode(items, whole)
        return self._skipped.encode([self._key_alone(item) for item in items])

    def _key_alone(self, item: bytes) -> bytes:
        key = key_in(self._keys, item)
        # Without a valid key it cannot be stored anyway, and the encoder says why.
        return item if key is None else item_of_key(self._keys, key)

    def _grouped(self, items: Sequence[bytes]) -> dict[int, list[int]]:
        """The indices of items by their places."""
        grouped: dict[int, list[int]] = {}
        for index, place in enumerate(self.places(items)):
            grouped.setdefault(place, []).append(index)
        return grouped

    def places(self, items: Sequence[bytes]) -> list[int]:
        """Where items go."""
        place = self._router.place
        if self._decoder is not None:
            try:
                found = self._decoder.decode(b"[" + b",".join(items) + b"]")
            except UNDECODABLE:
                return [place(self._seen(item)) for item in items]
            names = self._attributes
            return [
                place(dict(zip(names, msgspec.structs.astuple(each), strict=True)))
                for each in found
            ]
        return [place(self._seen(item)) for item in items]

    def _seen(self, item: bytes) -> dict[str, Any]:
        """The attributes that decide, of an item of which others may be unreadable."""
        try:
            members = parts.members(item)
        except (ValueError, RecursionError):
            return {}
        seen: dict[str, Any] = {}
        for name in self._attributes:
            try:
                seen[name] = msgspec.json.decode(members[name])
            except (KeyError, *UNDECODABLE):
                continue
        return seen


@dataclass
class _Made:
    """The rows of each target, the bad items, and the index of the item of each row."""

    tables: list[pa.Table] = field(default_factory=list)
    bad: list[BadItem] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    misfits: Counter[str] = field(default_factory=Counter)

    def encoded(self, rows: pa.Table) -> Encoded:
        """These rows, with what else was found."""
        return Encoded(rows, sorted(self.bad, key=lambda each: each.index), self.misfits)


def _decoder(attributes: Sequence[str]) -> "msgspec.json.Decoder[list[Any]] | None":
    """Decodes the attributes that decide, and skips all others; None if no struct fits them."""
    if not all(map(fits_struct, attributes)):
        return None
    names = {f"a{place}": name for place, name in enumerate(attributes)}
    fields = [(field, Any, None) for field in names]
    item = msgspec.defstruct("Seen", fields, rename=names, gc=False)
    return msgspec.json.Decoder(list[item])  # type: ignore[valid-type]
