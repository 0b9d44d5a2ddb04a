"""What makes rows of items: one encoder, or one for each target."""

from collections.abc import Sequence
from typing import Protocol

from connector.core.spec import Limits
from connector.items.encoder import Encoded
from connector.items.ruled.ruling import Ruling


class Encoding(Protocol):
    """Turns items of one table into rows."""

    @property
    def limits(self) -> Limits:
        """What the destination can hold."""
        ...

    @property
    def ruling(self) -> Ruling | None:
        """The rules of the table."""
        ...

    def encode_page(self, body: bytes) -> tuple[Encoded, str | None]:
        """The rows of a Scan answer, and the token after it. Raises BadAnswer."""
        ...

    def encode(self, items: Sequence[bytes], whole: Sequence[bool] | None = None) -> Encoded:
        """The rows of items in wire form, in their order; one that is not `whole` is only a key."""
        ...
