"""What clients asked for."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .responses import Response


@dataclass
class Call:
    """One request: its operation and parameters, and in the end the status, error and answer."""

    number: int
    operation: str
    parameters: Mapping[str, Any]
    at: float
    shard: str | None = None
    key: str = ""
    """The access key id that signed it."""
    status: int | None = None
    error: str | None = None
    answer: Response | None = field(default=None, repr=False)

    @property
    def segment(self) -> int | None:
        """The segment of a Scan; 0 for a Scan without segments."""
        return self.parameters.get("Segment", 0) if self.operation == "Scan" else None

    @property
    def table(self) -> str | None:
        """The table asked for, where the operation names one."""
        return self.parameters.get("TableName")

    @property
    def lane(self) -> tuple[str, Any]:
        """Calls of one lane read one thing in order: a segment, a shard, or a table."""
        return self.operation, (self.table, self.segment, self.shard)


@dataclass
class Calls:
    """The log of calls, in the order they arrived."""

    log: list[Call] = field(default_factory=list)
    keep: bool = True
    keep_answers: bool = False
    _count: int = 0
    _running: Counter[str] = field(default_factory=Counter)
    _most: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.log)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self.log))

    def of(self, operation: str, **wanted: Any) -> list[Call]:
        """The calls of one operation, narrowed by `segment`, `shard`, `table`, or parameters."""
        return [call for call in self if call.operation == operation and matches(call, wanted)]

    def count(self, operation: str, **wanted: Any) -> int:
        """How many such calls there were."""
        return len(self.of(operation, **wanted))

    def per_segment(self) -> Counter[int]:
        """How many Scan calls each segment had."""
        return Counter(call.segment or 0 for call in self.of("Scan"))

    def per_shard(self) -> Counter[str]:
        """How many GetRecords calls each shard had."""
        return Counter(call.shard or "" for call in self.of("GetRecords"))

    def readers(self) -> Counter[str]:
        """The largest number of GetRecords calls that ran at once, for each shard."""
        with self._lock:
            return Counter(self._most)

    def clear(self) -> None:
        """Forgets every call so far."""
        with self._lock:
            self.log.clear()
            self._most.clear()

    @contextmanager
    def recorded(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        at: float,
        shard: str | None,
        key: str = "",
    ) -> Iterator[Call]:
        """Notes a call, and that it runs for as long as the block lasts."""
        reading = shard if operation == "GetRecords" else None
        with self._lock:
            self._count += 1
            call = Call(self._count, operation, parameters, at, shard, key)
            if self.keep:
                self.log.append(call)
            if reading:
                self._running[reading] += 1
                self._most[reading] = max(self._most[reading], self._running[reading])
        try:
            yield call
        finally:
            if reading:
                with self._lock:
                    self._running[reading] -= 1


def matches(call: Call, wanted: Mapping[str, Any]) -> bool:
    """Whether a call has these properties or parameters."""
    own = {"segment": call.segment, "shard": call.shard, "table": call.table, "error": call.error}
    return all(
        own[name] == value if name in own else call.parameters.get(name) == value
        for name, value in wanted.items()
    )
