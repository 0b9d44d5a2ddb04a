"""Ten thousand drawn orders: a delete that an older put follows never brings a row back."""

import random
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from connector.core.changes.times import Tied
from connector.core.cursors import Batch, Cursor, Span
from connector.core.keys import KeyAttribute
from connector.core.spec import Deletes, TableSpec
from connector.core.state import Identity, Load, Plan
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.postgres.server import PostgresDestination
from connector.items.by_time.fold import TimedFold
from connector.items.by_time.page import Expected, kinesis_page
from connector.items.encoder import Encoder
from connector.ports import Destination
from connector.sources.kinesis.stream import change_page
from tests.rigs.combinations import amount
from tests.rigs.scripted.kinesis import MICROSECONDS

pytestmark = pytest.mark.by_turns("destination")

KEYS = (KeyAttribute("id", "S"),)
PLANNED = datetime(2026, 1, 1, tzinfo=UTC)
IDENTITY = Identity("arn:t", "id", "arn:s", "NEW_AND_OLD_IMAGES", KEYS)
EXPECTED = Expected(
    "orders", "arn:aws:dynamodb:us-west-2:000000000000:table/orders", "us-west-2", "s"
)


@dataclass
class History:
    """What happened to one item: the time of each change in microseconds, and its value then."""

    changes: list[tuple[int, int | None]]

    def after(self, times: Iterable[int]) -> int | None:
        """The value as of the newest of some changes, if there is any."""
        return dict(self.changes).get(max(times, default=0))


def drawn(dice: random.Random, number: int) -> History:
    """Puts and deletes; a delete is among them, and something that is older."""
    at = int((PLANNED + timedelta(hours=1)).timestamp() * 1e6) + number
    values: list[int | None] = [dice.choice((None, dice.randrange(1000))) for _ in range(4)]
    values[dice.randrange(1, 4)] = None
    values[0] = number
    # A whole millisecond may be any moment in it, which only a look-up can tell.
    exact = [each for each in range(5000) if (at + each) % 1000]
    times = sorted(dice.sample(exact, len(values)))
    return History([(at + each, value) for each, value in zip(times, values, strict=True)])


@dataclass
class Source:
    """Items that are read by key, as they are in the end."""

    histories: dict[str, History]
    asked: int = field(default=0)

    def __call__(self, keys: Iterable[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for key in keys:
            self.asked += 1
            name = key.decode().split('"')[5]
            value = self.histories[name].changes[-1][1]
            found.append(None if value is None else image(name, value).encode())
        return found


def image(name: str, value: int) -> str:
    """An item in wire form."""
    return f'{{"id":{{"S":"{name}"}},"n":{{"N":"{value}"}}}}'


def record(name: str, at: int, value: int | None, precision: str = "MICROSECOND") -> bytes:
    """What DynamoDB sends for a change; no other precision says what it is."""
    at //= MICROSECONDS[precision]
    said = f',"ApproximateCreationDateTimePrecision":"{precision}"'
    said = said if precision == "MICROSECOND" else ""
    new = "" if value is None else f',"NewImage":{image(name, value)}'
    event = "REMOVE" if value is None else "MODIFY"
    return (
        f'{{"awsRegion":"us-west-2","eventName":"{event}","tableName":"orders","dynamodb":'
        f'{{"ApproximateCreationDateTime":{at},"Keys":{{"id":{{"S":"{name}"}}}}{new}'
        f'{said}}},"eventSource":"aws:dynamodb"}}'
    ).encode()


def body(records: list[bytes], first: int) -> bytes:
    """An answer to GetRecords."""
    parts = (
        b'{"SequenceNumber":"%d","ApproximateArrivalTimestamp":1767229300.5,"Data":"%s"}'
        % (first + number, b64encode(data))
        for number, data in enumerate(records)
    )
    return b'{"Records":[' + b",".join(parts) + b'],"NextShardIterator":"x"}'


@pytest.fixture(params=["duckdb", "postgres"])
def destination(request: pytest.FixtureRequest, tmp_path) -> Iterator[Destination]:
    """An empty destination."""
    if request.param == "postgres":
        database = request.getfixturevalue("kept_postgres")
        yield PostgresDestination(database.parsed, lock_timeout=5)
        return
    yield DuckDBDestination(tmp_path / "w.duckdb", lock_timeout=5)


@pytest.mark.parametrize("deletes", [Deletes.APPLY, Deletes.SOFT])
def test_a_delete_followed_by_an_older_put_never_resurrects_a_row(request, destination, deletes):
    on_postgres = isinstance(destination, PostgresDestination)
    count = 1_000 if on_postgres or deletes is Deletes.SOFT else amount(10_000, by_turns=2_000)
    dice = random.Random(20)
    histories = {f"k{number}": drawn(dice, number) for number in range(count)}
    source, spec = Source(histories), TableSpec(deletes=deletes, follow="kinesis")
    start(destination, spec)
    arriving = {name: order_of(history, dice) for name, history in histories.items()}
    seen: dict[str, set[int]] = {name: set() for name in histories}
    for round_ in range(6):
        records = []
        for name, order in arriving.items():
            for at in order[round_]:
                seen[name].add(at)
                records.append(record(name, at, dict(histories[name].changes)[at]))
        dice.shuffle(records)
        commit(destination, spec, source, records, round_)
        expected = {name: histories[name].after(times) for name, times in seen.items() if times}
        assert rows(destination, deletes) == {n: v for n, v in expected.items() if v is not None}
    assert source.asked == 0


def test_times_of_mixed_precision_never_resurrect_a_row(destination):
    """Each record is as exact as its own precision; a tie is settled by reading the item."""
    dice = random.Random(21)
    few = isinstance(destination, PostgresDestination)
    count = 300 if few else amount(2_000, by_turns=500)
    beginning = int((PLANNED + timedelta(hours=1)).timestamp() * 1e6)
    histories = {}
    for name in (f"k{number}" for number in range(count)):
        width = dice.choice((3_000, 30_000, 3_000_000))
        times = sorted(dice.sample(range(width), 4))
        values = [dice.choice((None, dice.randrange(1000))) for _ in times]
        histories[name] = History(
            [(beginning + at, value) for at, value in zip(times, values, strict=True)]
        )
    source, spec = Source(histories), TableSpec(follow="kinesis")
    start(destination, spec)
    arriving = {name: order_of(history, dice) for name, history in histories.items()}
    seen: dict[str, set[int]] = {name: set() for name in histories}
    for round_ in range(6):
        records = []
        for name, order in arriving.items():
            for at in order[round_]:
                seen[name].add(at)
                value = dict(histories[name].changes)[at]
                records.append(record(name, at, value, dice.choice(tuple(MICROSECONDS))))
        dice.shuffle(records)
        commit(destination, spec, source, records, round_)
        found = rows(destination, Deletes.APPLY)
        for name, times in seen.items():
            after = {histories[name].after(times or ()), histories[name].changes[-1][1]}
            assert found.get(name) in after, histories[name]
    final = {name: history.changes[-1][1] for name, history in histories.items()}
    assert found == {name: value for name, value in final.items() if value is not None}
    assert 0 < source.asked < 4 * count


def order_of(history: History, dice: random.Random) -> list[list[int]]:
    """In which of six rounds each change arrives: each once at least, and some again."""
    rounds: list[list[int]] = [[] for _ in range(6)]
    for at, _ in history.changes:
        for _ in range(dice.choice((1, 1, 1, 2))):
            rounds[dice.randrange(6)].append(at)
    # What comes again in another round is told from a tie only by reading the item.
    first: set[int] = set()
    for each in rounds:
        each[:] = [at for at in dict.fromkeys(each) if at not in first]
        first.update(each)
    return rounds


def start(destination: Destination, spec: TableSpec) -> None:
    """A table that was loaded, without rows."""
    cursors = {"shard/s": Cursor(seen_at=PLANNED), "segment/000000-of-000001": Cursor()}
    destination.plan(Plan("orders", "orders", IDENTITY, "p", 1, PLANNED, cursors, None, spec))
    load = Load("orders", 1, "p", {}, ["segment/000000-of-000001"], PLANNED, by_time=True)
    destination.load(load, [], [])


def commit(
    destination: Destination, spec: TableSpec, source: Source, records: list[bytes], round_: int
) -> None:
    """One round, as a tail does it."""
    fold = TimedFold(KEYS, Encoder(KEYS), spec.deletes, planned=PLANNED.timestamp())
    page = kinesis_page(body(records, round_ * 10**6 + 1), EXPECTED)
    fold.add("shard/s", change_page(page, None, PLANNED))
    before = Cursor(str(round_)) if round_ else Cursor()
    span = Span("shard/s", before, Cursor(str(round_ + 1), seen_at=PLANNED))
    standing = Span("shard/s", before, before)
    while True:
        try:
            portions = list(fold.portions(source))
            for number, portion in enumerate(portions, 1):
                spans = [span if number == len(portions) else standing]
                destination.commit(
                    Batch(
                        "orders", 1, "p", spans, portion, fold.quarantined, spec=spec, buries=True
                    )
                )
            return
        except Tied as tied:
            fold.doubt(tied.keys)


def rows(destination: Destination, deletes: Deletes) -> dict[str, int]:
    """The live rows."""
    marked = "WHERE NOT _deleted" if deletes is Deletes.SOFT else ""
    found = destination.query(f"SELECT id, n FROM orders {marked}").to_pylist()
    return {row["id"]: int(row["n"]) for row in found}


def test_ties_are_read_and_change_nothing_else(tmp_path):
    """Changes of one microsecond in either order, in one round or in two."""
    destination = DuckDBDestination(tmp_path / "w.duckdb", lock_timeout=5)
    at = int((PLANNED + timedelta(hours=1)).timestamp() * 1e6)
    names = [f"k{n}" for n in range(200)]
    histories = {n: History([(at, 1), (at, None if n[-1] in "02468" else 2)]) for n in names}
    source, spec = Source(histories), TableSpec(follow="kinesis")
    start(destination, spec)
    first = [record(n, at, histories[n].changes[len(n) % 2][1]) for n in names]
    second = [record(n, at, histories[n].changes[1 - len(n) % 2][1]) for n in names]
    commit(destination, spec, source, first, 0)
    commit(destination, spec, source, second, 1)
    expected = {n: h.changes[-1][1] for n, h in histories.items()}
    assert rows(destination, Deletes.APPLY) == {n: v for n, v in expected.items() if v is not None}
    assert source.asked == len(names)
