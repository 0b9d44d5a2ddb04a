"""How often and how much a shard may be read, by all readers of this process together."""

import time
from collections.abc import Callable
from threading import Lock

READS_PER_SECOND = 5.0
BYTES_PER_SECOND = 2 * 1024 * 1024
"""What Kinesis allows for each shard (quotas in the Kinesis Data Streams developer guide)."""


class Paces:
    """When each shard may be read again, by its name."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._lock = Lock()

    def wait(self, shard: str, sleep: Callable[[float], None]) -> None:
        """Waits until a shard may be read."""
        pause = self._free_at.get(shard, 0.0) - time.monotonic()
        if pause > 0:
            sleep(pause)

    def read(self, shard: str, size: int) -> None:
        """Remembers that so many bytes were read."""
        with self._lock:
            now = time.monotonic()
            cost = max(1 / READS_PER_SECOND, size / BYTES_PER_SECOND)
            self._free_at[shard] = max(self._free_at.get(shard, 0.0), now) + cost


PROCESS = Paces()
"""Those of this process."""
