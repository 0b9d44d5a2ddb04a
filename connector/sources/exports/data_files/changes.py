"""Lines of incremental exports: the last change of each item in a window."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from connector.core.texts import Malformed
from connector.items import parts
from connector.items.records import UNDECODABLE


class BadLine(ValueError):
    """A line without an item; `number` counts from the first line of the text that has one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Number(Struct, gc=False):
    N: str


class _Metadata(Struct, gc=False):
    WriteTimestampMicros: _Number | str | int | float


class ExportChange(Struct, gc=False):
    """The last change of one item in a window, as a `Change`. Images stay raw."""

    Keys: Raw
    Metadata: _Metadata
    NewImage: Raw | UnsetType = UNSET
    OldImage: Raw | UnsetType = UNSET

    @property
    def key(self) -> Raw:
        """The item's key attributes."""
        return self.Keys

    @property
    def image(self) -> Raw | None:
        """The whole item at the end of the window; None if there is none."""
        image = self.NewImage
        return None if isinstance(image, UnsetType) or bytes(image) == b"null" else image

    @property
    def before(self) -> Raw | None:
        """Nothing: a window is not a change."""
        return None

    @property
    def created(self) -> bool:
        """Whether there was no item before the window."""
        return isinstance(self.OldImage, UnsetType)

    @property
    def version(self) -> int:
        """When it was written, in microseconds."""
        written = self.Metadata.WriteTimestampMicros
        return int(float(written.N if isinstance(written, _Number) else written))

    @property
    def at(self) -> float:
        """When it was written, in seconds since 1970."""
        return self.version / 1_000_000

    @property
    def expired(self) -> bool:
        """Whether it may have expired: an export does not say who has deleted an item."""
        return self.image is None

    @property
    def raw(self) -> str:
        """The change as it was in the export."""
        return msgspec.json.encode(self).decode(errors="backslashreplace")

    @property
    def token(self) -> str:
        """An export has no position of each change."""
        return ""

    @property
    def unchanged(self) -> bool:
        """What only a legacy global table has changed is written again, which does no harm."""
        return False

    @property
    def flaw(self) -> str:
        """A change that cannot be applied is no line of an export."""
        return ""


_LATEST = 2**53
"""In microseconds, the year 2255; whole numbers above it are not exact."""

_change = msgspec.json.Decoder(ExportChange)


def changes_of_lines(lines: Sequence[bytes]) -> list[ExportChange]:
    """The change of each line. Raises BadLine where one has none."""
    try:
        return _checked(_change.decode_lines(b"\n".join(lines)), 0)
    except UNDECODABLE:
        return [_one(line, number) for number, line in enumerate(lines, 1)]


def _one(line: bytes, number: int) -> ExportChange:
    try:
        # What in an image is not legal is for whoever decodes it.
        found = parts.members(line)
        metadata = msgspec.json.decode(found["Metadata"], type=_Metadata)
        images = {name: Raw(found[name]) for name in ("NewImage", "OldImage") if name in found}
        change = ExportChange(Raw(found["Keys"]), metadata, **images)
    except (Malformed, KeyError, *UNDECODABLE):
        raise BadLine(number) from None
    return _checked([change], number)[0]


def _checked(changes: list[ExportChange], number: int) -> list[ExportChange]:
    """The changes, if each has a time that is one."""
    for each in changes:
        number += 1
        try:
            known = 0 <= each.version <= _LATEST
        except (ValueError, OverflowError):
            known = False
        if not known:
            raise BadLine(number)
    return changes
