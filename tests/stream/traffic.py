"""What the calls prove, and what no call may do: I9, I10, I21, I22, I25."""

import json
from collections.abc import Iterator
from typing import Any

from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.calls import Call

from .claims import require

READING = frozenset(
    ("DescribeTable", "Scan", "BatchGetItem", "DescribeStream", "GetShardIterator", "GetRecords")
)


class Traffic:
    """Looks at the log of the server, which knows nothing of what the program thinks."""

    def __init__(self, rig: ScriptedDynamoDB) -> None:
        self._rig = rig

    def saw_end(self, shard: str) -> bool:
        return any(
            b'"NextShardIterator"' not in body and body.startswith(b'{"Records":[')
            for body in self._bodies("GetRecords", lambda call: call.shard == shard)
        )

    def saw_closed(self, shard: str) -> bool:
        quoted = f'"ShardId":"{shard}"'.encode()
        for body in self._bodies("DescribeStream", lambda call: True):
            if quoted not in body:
                continue
            for each in json.loads(body)["StreamDescription"]["Shards"]:
                ends = "EndingSequenceNumber" in each["SequenceNumberRange"]
                if each["ShardId"] == shard and ends:
                    return True
        return False

    def _bodies(self, operation: str, wanted: Any) -> Iterator[bytes]:
        """Whole answers, newest first."""
        for call in reversed(self._rig.calls.log):
            answer = call.answer
            if call.operation != operation or answer is None or answer.status != 200:
                continue
            if wanted(call) and answer.sent is None:
                yield answer.body

    def saw_segment_end(self, number: int, since: float) -> bool:
        """Whether a segment gave its last page, whole, since a plan was made."""
        # The program's times are rounded to the microsecond, perhaps up to the next second.
        since = int(since - 1e-6)
        return any(c.at >= since and _ends_segment(c, number) for c in self._rig.calls.log)

    def check(self, runs_at_once: int, max_read_units: float | None) -> None:
        for call in self._rig.calls.log:
            require(call.operation in READING, "I25", f"{call.operation} was called")
            require(
                call.parameters.get("ShardIteratorType") != "LATEST", "I25", "an iterator at LATEST"
            )
        for shard, readers in self._rig.calls.readers().items():
            require(readers <= runs_at_once, "I22", f"{shard} had {readers} readers")
        self._check_units(max_read_units)

    def _check_units(self, max_read_units: float | None) -> None:
        reads = [call for call in self._rig.calls.log if call.operation in ("Scan", "BatchGetItem")]
        if max_read_units is None or not reads:
            return
        spent = [
            _units(json.loads(call.answer.body).get("ConsumedCapacity", {}))
            for call in reads
            if call.answer is not None and call.answer.status == 200
        ]
        allowed = max_read_units * (reads[-1].at - reads[0].at)
        side_by_side = len({(call.operation, call.segment) for call in reads})
        require(
            sum(spent) <= allowed + side_by_side * max(spent),
            "I21",
            f"{sum(spent)} units, {allowed}",
        )


def _units(consumed: Any) -> float:
    """What one answer cost; that of BatchGetItem says so for each table."""
    each = consumed if isinstance(consumed, list) else [consumed]
    return sum(part.get("CapacityUnits", 0.0) for part in each)


def _ends_segment(call: Call, number: int) -> bool:
    answer = call.answer
    if call.operation != "Scan" or call.segment != number or answer is None:
        return False
    body = answer.body
    whole = answer.status == 200 and answer.sent is None and body.startswith(b'{"Items":[')
    return whole and b'"LastEvaluatedKey"' not in body and b'"ScannedCount"' in body
