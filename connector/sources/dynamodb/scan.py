"""Reads Scan pages, one at a time."""

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from connector.errors import SourceRefused
from connector.ports import Decoded
from connector.sources.dynamodb.calls import Caller, ReadUnitLimiter, body, error_code


class _Capacity(Struct):
    CapacityUnits: float = 0.0


class _Consumed(Struct):
    ConsumedCapacity: _Capacity | None = None


_consumed = msgspec.json.Decoder(_Consumed)


class Scanner:
    """Reads the table's items; a token is the JSON text of a LastEvaluatedKey."""

    def __init__(
        self, call: Caller, dynamodb: Any, table: str, consistent: bool, limiter: ReadUnitLimiter
    ) -> None:
        self._call = call
        self._dynamodb = dynamodb
        self._table = table
        self._consistent = consistent
        self._limiter = limiter

    def page(
        self, segment: int, segments: int, since: str | None, decode: Callable[[bytes], Decoded]
    ) -> tuple[Decoded, datetime]:
        """The page after `since`, and when it was requested.

        Raises SourceRefused if the table is gone.
        """
        units = 0.0

        def checked(answer: dict[str, Any]) -> Decoded:
            nonlocal units
            content = body(answer)
            decoded = decode(content)
            units = _units(content) if self._limiter.counts else 0.0
            return decoded

        parameters: dict[str, Any] = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": segments,
            "ConsistentRead": self._consistent,
        }
        if since is not None:
            parameters["ExclusiveStartKey"] = wire_to_python(json.loads(since))
        if self._limiter.counts:
            parameters["ReturnConsumedCapacity"] = "TOTAL"
            self._limiter.wait()
        asked = self._call.clock.mark()
        try:
            decoded = self._call(self._dynamodb.scan, checked, **parameters)
        except Exception as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            raise SourceRefused(
                f"The table {self._table} was deleted while it was being scanned.",
                "The destination is unchanged; `connector status` shows it.",
            ) from error
        self._limiter.spend(units)
        return decoded, self._call.clock.at(asked)


def _units(content: bytes) -> float:
    capacity = _consumed.decode(content).ConsumedCapacity
    return capacity.CapacityUnits if capacity else 0.0


def wire_to_python(item: dict[str, Any]) -> dict[str, Any]:
    """A key in wire form as boto3 expects it, with binary as bytes."""
    return {
        name: {"B": b64decode(value["B"])} if "B" in value else value
        for name, value in item.items()
    }
