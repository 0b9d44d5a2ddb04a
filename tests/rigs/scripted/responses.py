"""What goes back over the wire."""

import zlib
from dataclasses import dataclass
from typing import Any

from .errors import ServiceError
from .items import rendered

JSON = "application/x-amz-json-1.0"


@dataclass(frozen=True)
class Response:
    """An answer; the checksum is computed unless one is given, right or wrong."""

    body: bytes
    status: int = 200
    checksum: int | None = None
    content_type: str = JSON
    sent: int | None = None  # cut the connection after this many bytes of the body
    error: str | None = None

    @classmethod
    def of(cls, content: Any) -> "Response":
        """A good answer with this content."""
        return cls(rendered(content))

    @classmethod
    def failed(cls, error: ServiceError) -> "Response":
        """An error answer."""
        return cls(rendered(error.body()), error.status, error=error.code)

    @property
    def crc32(self) -> int:
        """The value of the x-amz-crc32 header."""
        return zlib.crc32(self.body) if self.checksum is None else self.checksum
