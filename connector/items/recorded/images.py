"""Whole items → JSON texts, as a column of type json has them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from connector.core.keys import KeySchema
from connector.core.rules.rules import BESIDE
from connector.core.spec import EVERYTHING, Limits
from connector.core.texts import Malformed, json_text
from connector.items import limits as storable
from connector.items import values
from connector.items.decoders import GROWTH, some_of
from connector.items.encoder import decoded
from connector.items.records import REPLICATION_PREFIX, UNDECODABLE
from connector.items.ruled.ruling import Ruling
from connector.items.shapes import PlaceLimit, Shape

_MISFITS = (Malformed, *UNDECODABLE)
AT_ONCE = 4000
"""Images; what is made of more does not stay in the processor's cache."""
_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()


class ImageTexts:
    """Turns items of one table into texts, learning what they contain as they come.

    Items are decoded into structs made for what was seen so far, as a map in a column is.
    """

    def __init__(
        self, keys: KeySchema, limits: Limits = EVERYTHING, ruling: Ruling | None = None
    ) -> None:
        self._keys = keys
        self._ruling = ruling if ruling and ruling.rules else None
        self._limits = limits
        self._shape = Shape(PlaceLimit(), tags=("M",))
        self._shape.learn({"M": {}})
        self._decoder: msgspec.json.Decoder[list[Any]] | None = None

    def texts(self, images: Sequence[bytes]) -> pa.Array:
        """A text for each image, as a string array; null for one that is not valid."""
        made = [
            self._together(images[first : first + AT_ONCE])
            for first in range(0, len(images), AT_ONCE)
        ]
        return pa.concat_arrays(made) if made else pa.array([], pa.string())

    def _together(self, images: Sequence[bytes]) -> pa.Array:
        body = b'[{"M":' + b'},{"M":'.join(images) + b"}]"
        if self._ruling or storable.doubtful(self._limits, body) or _REPLICATION in body:
            return self._each(images)
        learnt = 0
        while True:
            try:
                return self._shape.texts(self._decoded(body))
            except _MISFITS:
                if learnt >= len(images):
                    return self._each(images)
                learnt = min(learnt * GROWTH or 1, len(images))
                if not self._learn(some_of(images, learnt)):
                    return self._each(images)

    def _decoded(self, body: bytes) -> list[Any]:
        if self._decoder is None:
            self._decoder = msgspec.json.Decoder(
                list[self._shape.type]  # type: ignore[name-defined]
            )
        return self._decoder.decode(body)

    def _learn(self, images: Sequence[bytes]) -> bool:
        """Learns from items; whether all are valid."""
        try:
            for image in images:
                if self._shape.learn({"M": self._item(image)}):
                    self._decoder = None
        except Malformed:
            return False
        return True

    def _each(self, images: Sequence[bytes]) -> pa.Array:
        """The texts one by one; null for an item that is not valid or cannot be stored."""
        return pa.array(list(map(self._text, images)), pa.string())

    def _item(self, image: bytes) -> dict[str, Any]:
        """The item, after the rules. Raises Malformed if any part of it is not valid."""
        item = decoded(self._keys, image)
        item = self._ruling.applied(item) if self._ruling else item
        for value in item.values():
            values.plain(value)
        return item

    @property
    def _row_keys(self) -> KeySchema:
        return self._ruling.row_keys if self._ruling else self._keys

    def _text(self, image: bytes) -> str | None:
        try:
            item = self._item(image)
            storable.check(self._limits, self._row_keys, item)
        except Malformed:
            return None
        return json_text(
            {
                name.removeprefix(BESIDE): values.plain(value)
                for name, value in item.items()
                if not name.startswith(REPLICATION_PREFIX)
            }
        )


def distinct(images: Sequence[bytes | None]) -> tuple[list[bytes], list[int | None]]:
    """The images without repetition, and the place of each among them."""
    places: dict[bytes, int] = {}
    found = [None if i is None else places.setdefault(i, len(places)) for i in images]
    return list(places), found
