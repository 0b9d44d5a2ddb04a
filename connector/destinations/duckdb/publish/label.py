"""What a published copy says of itself, in its last bytes.

DuckDB reads a file by its own list of blocks, so it passes over what follows them.
"""

import hashlib
import os
from dataclasses import asdict, dataclass
from datetime import datetime

import msgspec

HEADER_BYTES = 3 * 4096
"""DuckDB's headers: one of the file, and one of each of the last two checkpoints."""
_BEGINS = b"\nconnector: a published copy\n"
_BYTES = 32 * 1024
"""Enough for the longest path, even if each character of it must be escaped."""


@dataclass(frozen=True)
class Label:
    """Of which file a copy is, of which checkpoint, and when that was."""

    of: str
    """The file's absolute path."""
    checkpoint: str
    """A digest of the file's headers, which change with each checkpoint."""
    at: datetime

    def write(self, copy: int, size: int) -> None:
        """Appends the label to a copy that has so many bytes."""
        text = _BEGINS + msgspec.json.encode(asdict(self))
        at, content = size, memoryview(text.ljust(_BYTES, b" "))
        while content:
            written = os.pwrite(copy, content, at)
            at, content = at + written, content[written:]


def checkpoint_of(file: int) -> str:
    """The digest of the headers that an open file has now."""
    return hashlib.sha256(os.pread(file, HEADER_BYTES, 0)).hexdigest()


def label_of(file: int) -> Label | None:
    """The label at the end of an open file; None if it has none."""
    at = os.fstat(file).st_size - _BYTES
    text = os.pread(file, _BYTES, at) if at > 0 else b""
    if not text.startswith(_BEGINS):
        return None
    try:
        return msgspec.json.decode(text.removeprefix(_BEGINS), type=Label)
    except msgspec.MsgspecError:
        return None
