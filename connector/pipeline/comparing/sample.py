"""A share of a table: of its source some segments, of its rows those whose keys are drawn."""

import random
from dataclasses import dataclass, field
from hashlib import blake2b

_LARGEST = 1_000_000
_SPACE = 2**64


@dataclass(frozen=True)
class Sample:
    """What a comparison reads. Each run draws anew, so many runs compare everything."""

    share: float
    """More than 0, and at most 1."""
    salt: bytes = field(default_factory=lambda: random.randbytes(8))

    def segments(self, at_once: int) -> tuple[list[int], int]:
        """The segments to scan, and how many there are; about `at_once` of them.

        Which item is in which segment only the source knows, so rows are drawn by `has` as well.
        """
        if self.share >= 1:
            return list(range(at_once)), at_once
        total = min(_LARGEST, max(1, round(at_once / self.share)))
        count = max(1, round(total * self.share))
        return sorted(random.Random(self.salt).sample(range(total), count)), total

    def has(self, key: str) -> bool:
        """Whether the row of a key is drawn."""
        digest = blake2b(key.encode(), digest_size=8, key=self.salt).digest()
        return int.from_bytes(digest) < self.share * _SPACE
