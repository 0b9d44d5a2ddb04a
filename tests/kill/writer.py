"""A writer that never rests: puts, updates and deletes at so many writes a second."""

import random
import threading
import time
from types import TracebackType
from typing import Any, Self

Item = dict[str, Any]

THREADS = 3


def key(number: int) -> Item:
    """The key of one item."""
    return {"pk": {"S": f"customer-{number % 97}"}, "sk": {"N": str(number)}}


def item(number: int, dice: random.Random) -> Item:
    """An item of many types; no empty map, which DynamoDB Local spells wrongly in its stream."""
    attributes: Item = {
        "n": {"N": f"{dice.randrange(10**9)}.{dice.randrange(1, 100)}"},
        "text": {"S": dice.randbytes(dice.randrange(400)).hex()},
        "flag": {"BOOL": dice.random() < 0.5},
        "raw": {"B": dice.randbytes(9)},
        "mixed": dice.choice([{"S": "x"}, {"N": "7"}, {"BOOL": True}, {"NULL": True}]),
        "tags": {"SS": [f"t{n}" for n in dice.sample(range(9), 3)]},
        "nested": {"M": {"list": {"L": [{"N": "1E-130"}, {"S": ""}]}, "n": {"N": str(number)}}},
    }
    kept = {name: value for name, value in attributes.items() if dice.random() < 0.8}
    return {**key(number), **kept}


def fill(client: Any, table: str, items: int, dice: random.Random) -> None:
    """Writes the items the table begins with."""
    for first in range(0, items, 25):
        requests = [
            {"PutRequest": {"Item": item(number, dice)}} for number in range(first, first + 25)
        ]
        answer = client.batch_write_item(RequestItems={table: requests})
        assert not answer["UnprocessedItems"]


class Writer:
    """Writes in threads of its own for as long as the block lasts."""

    def __init__(
        self, client: Any, table: str, items: int, writes_per_second: int, seed: int
    ) -> None:
        self._client = client
        self._table = table
        self._items = items
        self._pause = THREADS / writes_per_second
        self._stop = threading.Event()
        self._failures: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed + n),), name=f"writer-{n}")
            for n in range(THREADS)
        ]
        self.counts = [0] * THREADS

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    @property
    def written(self) -> int:
        """How many writes there were."""
        return sum(self.counts)

    def _run(self, dice: random.Random) -> None:
        due = time.monotonic()
        mine = self._threads.index(threading.current_thread())
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + self._pause, time.monotonic() - 1)
                self._write(dice)
                self.counts[mine] += 1
        except Exception as failure:
            self._failures.append(failure)

    def _write(self, dice: random.Random) -> None:
        number = dice.randrange(self._items * 11 // 10)
        kind = dice.random()
        named = {"TableName": self._table}
        if kind < 0.5:
            self._client.put_item(Item=item(number, dice), **named)
        elif kind < 0.8:
            self._client.update_item(
                Key=key(number),
                UpdateExpression="SET #n = :n REMOVE #t",
                ExpressionAttributeNames={"#n": "n", "#t": dice.choice(["text", "mixed"])},
                ExpressionAttributeValues={":n": {"N": str(dice.randrange(1000))}},
                **named,
            )
        else:
            self._client.delete_item(Key=key(number), **named)
