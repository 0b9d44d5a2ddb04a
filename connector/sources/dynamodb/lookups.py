"""Reads items by key, a hundred with each call, until every key has its answer."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw, Struct

from connector.core.keys import KeySchema
from connector.errors import BadAnswer, SourceRefused, Throttled
from connector.items import parts
from connector.items.keys import key_text_in
from connector.items.records import UNDECODABLE
from connector.sources.dynamodb.calls import (
    FIRST_DELAY,
    LONGEST_DELAY,
    Caller,
    ReadUnitLimiter,
    body,
    error_code,
)
from connector.sources.dynamodb.scan import wire_to_python

BATCH_GET_LIMIT = 100
AT_ONCE = 4
"""Calls side by side; each answer has up to 16 MB, and each call up to 100 items of 400 KB."""


class _Capacity(Struct):
    CapacityUnits: float = 0.0


class _Got(Struct):
    Responses: dict[str, list[Raw]]
    UnprocessedKeys: dict[str, Any]
    ConsumedCapacity: list[_Capacity] | None = None

    @property
    def units(self) -> float:
        """The read units that it took, if that was asked for."""
        return sum(each.CapacityUnits for each in self.ConsumedCapacity or ())


_got = msgspec.json.Decoder(_Got)


@dataclass
class _Answer:
    """What one call has found of the keys it asked for, and which of them it has left out."""

    found: dict[str, bytes]
    left: list[dict[str, Any]]
    units: float


@dataclass
class Lookups:
    """Reads the items of one table by key. Safe to use from several threads."""

    call: Caller
    dynamodb: Any
    table: str
    limiter: ReadUnitLimiter
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "look-up")
    )

    def items(self, keys: Sequence[bytes], schema: KeySchema) -> list[bytes | None]:
        """Items by key, read consistently, in the order of `keys`; each key is read once.

        Raises Throttled if DynamoDB leaves keys out until `retry_seconds` have passed.
        """
        texts = [_text(schema, key) for key in keys]
        unique = dict(zip(texts, keys, strict=True))
        asked = list(unique.items())
        batches = [
            dict(asked[at : at + BATCH_GET_LIMIT]) for at in range(0, len(asked), BATCH_GET_LIMIT)
        ]
        found: dict[str, bytes] = {}
        for part in self._each(batches, lambda batch: self._batch(batch, schema)):
            found.update(part)
        return [found.get(text) for text in texts]

    def _each(
        self,
        batches: Sequence[dict[str, bytes]],
        read: Callable[[dict[str, bytes]], dict[str, bytes]],
    ) -> Iterator[dict[str, bytes]]:
        if len(batches) > 1:
            return self._threads.map(read, batches)
        return map(read, batches)

    def _batch(self, asked: dict[str, bytes], schema: KeySchema) -> dict[str, bytes]:
        """The items of up to a hundred keys. Keys that are left out are asked for again."""
        pending = [wire_to_python(json.loads(key)) for key in asked.values()]
        found: dict[str, bytes] = {}
        deadline, attempt = self.call.monotonic() + self.call.retry_seconds, 0
        wait = self.call.waits.begin()
        while True:
            # A run that was asked to end is not to wait for the rest.
            self.call.sleep(0.0)
            answer = self._get(pending, asked, schema)
            found.update(answer.found)
            if not answer.left:
                return found
            if len(answer.left) < len(pending):
                deadline = self.call.monotonic() + self.call.retry_seconds
            pending = answer.left
            # DynamoDB throttles by leaving keys out; an answer that is full leaves some out, too.
            delay = random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
            left = deadline - self.call.monotonic()
            if delay > left:
                raise _throttled()
            wait.goes_on("DynamoDB, which throttles BatchGetItem", left, delay)
            self.call.sleep(delay)
            attempt += 1

    def _get(
        self, keys: list[dict[str, Any]], asked: dict[str, bytes], schema: KeySchema
    ) -> _Answer:
        parameters: dict[str, Any] = {
            "RequestItems": {self.table: {"Keys": keys, "ConsistentRead": True}}
        }
        if self.limiter.counts:
            parameters["ReturnConsumedCapacity"] = "TOTAL"
            self.limiter.wait()

        def checked(answer: dict[str, Any]) -> _Answer:
            return _complete(got_body(answer), len(keys), asked, schema)

        try:
            answer = self.call(self.dynamodb.batch_get_item, checked, **parameters)
        except Exception as error:
            if error_code(error) == "ResourceNotFoundException":
                raise SourceRefused(
                    f"The table {self.table} was deleted, so its items cannot be looked up.",
                    "Take it out of `tables:` if that is meant; what was replicated stays.",
                ) from error
            raise
        self.limiter.spend(answer.units)
        return answer


def _text(schema: KeySchema, key: bytes) -> str:
    text = key_text_in(schema, key)
    assert text is not None
    return text


def _throttled() -> Throttled:
    return Throttled(
        "DynamoDB kept throttling BatchGetItem (UnprocessedKeys).",
        "Nothing is lost: run the same command later, or set source.max_read_units lower.",
    )


def _complete(got: _Got, count: int, asked: dict[str, bytes], schema: KeySchema) -> _Answer:
    """What an answer says of the keys. Raises BadAnswer if it does not speak of all of them.

    An item that is not in it is taken for deleted, so it must be an answer about this table. The
    table is named as it was asked for or otherwise: there is only one.
    """
    left = [wire_to_python(key) for each in got.UnprocessedKeys.values() for key in _keys_in(each)]
    if len(got.Responses) > 1 or (not got.Responses and len(left) < count):
        raise BadAnswer("The answer to BatchGetItem is not about the table.", "Run again.")
    found: dict[str, bytes] = {}
    for items in got.Responses.values():
        for item in map(bytes, items):
            text = key_text_in(schema, item)
            if text not in asked:
                raise BadAnswer("The answer to BatchGetItem has another item.", "Run again.")
            assert text is not None
            found[text] = item
    if len(found) + len(left) > count:
        raise BadAnswer("The answer to BatchGetItem has a key twice.", "Run again.")
    return _Answer(found, left, got.units)


def _keys_in(unprocessed: Any) -> list[dict[str, Any]]:
    keys = unprocessed.get("Keys") if isinstance(unprocessed, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise BadAnswer("The answer to BatchGetItem has illegal UnprocessedKeys.", "Run again.")
    return keys


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
        left = msgspec.json.decode(answer["UnprocessedKeys"], type=dict[str, Any])
        units = msgspec.json.decode(
            answer.get("ConsumedCapacity", b"null"), type=list[_Capacity] | None
        )
        return _Got(items, left, units)
    except (KeyError, ValueError) as error:
        raise BadAnswer("The answer to BatchGetItem is not the expected JSON.") from error
