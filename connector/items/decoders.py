"""Decoders made for the attributes and the types of values that were seen so far."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from msgspec import Raw

GROWTH = 16
"""By which factor the number of items to learn from grows with each attempt."""


class Decodable(Protocol):
    """An attribute with the type that its values are decoded into."""

    @property
    def type(self) -> Any: ...


@dataclass(frozen=True)
class Decoders:
    """Decode many items at once. An item is a struct whose fields are `attributes`, in order."""

    attributes: list[str]
    items: "msgspec.json.Decoder[list[Any]]"
    page: "msgspec.json.Decoder[Any]"
    """Decodes a whole Scan answer."""

    @classmethod
    def of(
        cls,
        shapes: Mapping[str, Decodable],
        required: Collection[str],
        absent: object,
        others: bool = False,
    ) -> "Decoders":
        """Decoders for attributes; a missing one is `absent`.

        They raise an error for items that lack a `required` attribute, and for those with another
        one than these unless `others` are skipped.
        """
        fields: list[Any] = []
        renamed: dict[str, str] = {}
        for index, (name, shape) in enumerate(shapes.items()):
            default = () if name in required else (absent,)
            renamed[f"a{index}"] = name
            fields.append((f"a{index}", shape.type, *default))
        # The required fields of a struct come before the others.
        fields.sort(key=len)
        item = msgspec.defstruct(
            "Item", fields, rename=renamed, gc=False, forbid_unknown_fields=not others
        )
        page = msgspec.defstruct(
            "Page",
            [
                ("Items", list[item]),  # type: ignore[valid-type]
                ("Count", int),
                ("ScannedCount", int),
                ("LastEvaluatedKey", Raw, Raw()),
            ],
            gc=False,
        )
        return cls(
            [renamed[each[0]] for each in fields],
            msgspec.json.Decoder(list[item]),  # type: ignore[valid-type]
            msgspec.json.Decoder(page),
        )


def some_of(items: Sequence[bytes], count: int) -> Sequence[bytes]:
    """At most `count` of the items, from everywhere, for learning what they contain.

    Most items are alike, so a few are usually enough; but those that were added last may not be
    like the first.
    """
    return items[:: -(-len(items) // count)]
