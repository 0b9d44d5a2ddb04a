"""Reads Scan pages, one at a time, and items by key."""

import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from connector.core.keys import KeySchema
from connector.errors import BadAnswer, SourceRefused
from connector.items import parts
from connector.items.keys import key_text_in
from connector.items.records import UNDECODABLE
from connector.ports import Decoded
from connector.sources.dynamodb.calls import Caller, ReadUnitLimiter, body, error_code

BATCH_GET_LIMIT = 100


class _Capacity(Struct):
    CapacityUnits: float = 0.0


class _Consumed(Struct):
    ConsumedCapacity: _Capacity | None = None


class _Got(Struct):
    Responses: dict[str, list[Raw]]
    UnprocessedKeys: dict[str, Any]


_consumed = msgspec.json.Decoder(_Consumed)
_got = msgspec.json.Decoder(_Got)


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
        asked_at = self._call.clock.now()
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
        return decoded, asked_at

    def items(self, keys: Sequence[bytes], schema: KeySchema) -> list[bytes | None]:
        """Items by key, read consistently, in the order of `keys`."""
        found: dict[str | None, bytes] = {}
        asked = [key_text_in(schema, key) for key in keys]
        for start in range(0, len(keys), BATCH_GET_LIMIT):
            pending = [wire_to_python(json.loads(key)) for key in keys[start:][:BATCH_GET_LIMIT]]
            while pending:
                got, pending = self._get(pending)
                found.update((key_text_in(schema, item), item) for item in got)
        return [found.get(key) for key in asked]

    def _get(self, keys: list[dict[str, Any]]) -> tuple[list[bytes], list[dict[str, Any]]]:
        request = {self._table: {"Keys": keys, "ConsistentRead": True}}
        try:
            got = self._call(self._dynamodb.batch_get_item, got_body, RequestItems=request)
        except Exception as error:
            if error_code(error) == "ResourceNotFoundException":
                raise SourceRefused(f"The table {self._table} was deleted.") from error
            raise
        left = got.UnprocessedKeys.get(self._table, {}).get("Keys", [])
        items = [bytes(item) for item in got.Responses.get(self._table, [])]
        return items, [wire_to_python(key) for key in left]


def _units(content: bytes) -> float:
    capacity = _consumed.decode(content).ConsumedCapacity
    return capacity.CapacityUnits if capacity else 0.0


def got_body(answer: dict[str, Any]) -> _Got:
    """The checked answer to BatchGetItem."""
    content = body(answer)
    try:
        return _got.decode(content)
    except UNDECODABLE:
        return _got_in_parts(content)


def _got_in_parts(content: bytes) -> _Got:
    """Splits an answer with an item that cannot be decoded."""
    try:
        answer = parts.members(content)
        tables = parts.members(answer["Responses"])
        items = {name: [Raw(item) for item in parts.elements(raw)] for name, raw in tables.items()}
        return _Got(items, msgspec.json.decode(answer["UnprocessedKeys"], type=dict[str, Any]))
    except (KeyError, ValueError) as error:
        raise BadAnswer("The answer to BatchGetItem is not the expected JSON.") from error


def wire_to_python(item: dict[str, Any]) -> dict[str, Any]:
    """A key in wire form as boto3 expects it, with binary as bytes."""
    return {
        name: {"B": b64decode(value["B"])} if "B" in value else value
        for name, value in item.items()
    }
