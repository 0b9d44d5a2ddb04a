"""What people write by hand: boto3's Scan, TypeDeserializer, executemany. And raw limits.

Each part is a command of its own, so that it is measured like the program:

    python -m benchmarks.baseline PART ENDPOINT-OR-FOLDER [URL]
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SEGMENTS = 2
PAGES_BY_HAND = 1
"""A part that takes as long as this reads only so many pages; its rate does not depend on it."""


def _client(endpoint: str) -> Any:
    import boto3

    return boto3.client("dynamodb", endpoint_url=endpoint)


def _pages(endpoint: str) -> Iterator[list[dict[str, Any]]]:
    paginator = _client(endpoint).get_paginator("scan")
    for page in islice(paginator.paginate(TableName="load"), PAGES_BY_HAND):
        yield page["Items"]


def boto3_receive(endpoint: str) -> None:
    """Receives pages with boto3 and throws them away."""
    print(sum(len(items) for items in _pages(endpoint)))


def by_hand(endpoint: str, url: str) -> None:
    """Scans with boto3, deserialises, inserts row by row."""
    from boto3.dynamodb.types import TypeDeserializer

    deserialize = TypeDeserializer().deserialize
    mark, execute, executemany, commit = _connection(url)
    done = 0
    for items in _pages(endpoint):
        rows = [{name: deserialize(value) for name, value in item.items()} for item in items]
        names = list(rows[0])
        if not done:
            columns = ", ".join(f'"{name}" TEXT' for name in names)
            execute(f"CREATE TABLE by_hand ({columns})")
        marks = ", ".join(mark(place) for place in range(1, len(names) + 1))
        values = [[_text(row.get(name)) for name in names] for row in rows]
        executemany(f"INSERT INTO by_hand VALUES ({marks})", values)
        done += len(rows)
    commit()
    print(done)


def _connection(url: str) -> tuple[Callable[[int], str], Any, Any, Callable[[], None]]:
    if url.startswith("duckdb"):
        import duckdb

        file = duckdb.connect(url.removeprefix("duckdb:///"))
        return (lambda place: "?"), file.execute, file.executemany, file.close
    from adbc_driver_postgresql import dbapi

    connection = dbapi.connect(url)
    cursor = connection.cursor()

    def commit() -> None:
        connection.commit()
        cursor.close()
        connection.close()

    return (lambda place: f"${place}"), cursor.execute, cursor.executemany, commit


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else sorted(value)


def receive(endpoint: str) -> None:
    """Receives every page as bytes, in two processes, and throws it away."""
    context = get_context("spawn")
    workers = [
        context.Process(target=receive_segment, args=(endpoint, number))
        for number in range(SEGMENTS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            sys.exit(worker.exitcode)


def receive_segment(endpoint: str, segment: int) -> None:
    """Receives one segment."""
    from connector.config.model import SourceConfig
    from connector.sources.dynamodb.source import DynamoDBSource

    source = DynamoDBSource(SourceConfig(endpoint_url=endpoint, region="us-west-2"), "load")
    token: str | None = None
    while True:
        token, _ = source.page(segment, SEGMENTS, token, _token)
        if token is None:
            return


def _token(body: bytes) -> str | None:
    """The cursor at the end of a page, without looking at its items."""
    _, mark, cursor = body.rpartition(b'"LastEvaluatedKey":')
    return cursor[:-1].decode() if mark else None


def spool(folder: str, endpoint: str) -> None:
    """Scans the table into a spool that nobody loads."""
    from connector import job
    from connector.config.loading import load
    from connector.events import quiet
    from connector.scanning.segments import segment_scan
    from connector.stop import Stop

    Path(folder).mkdir(parents=True)
    config = load(
        None,
        to=f"duckdb:///{folder}/unused.duckdb",
        tables=["load"],
        environment={},
        overrides={"spool": folder, "scan.segments": 2, "source.endpoint_url": endpoint},
    )
    state = job.open_run(config, "load").plan(None)
    scan = segment_scan(config, state, quiet, Stop.never())
    for number in range(state.segments):
        scan.run(number)


def insert(folder: str, url: str) -> None:
    """Inserts Arrow files that are ready into a new table, by the database's own quickest way."""
    paths = sorted(Path(folder).rglob("*.arrow"))
    # A segment without items has a file without columns.
    filled = (rows for rows in map(_read, paths) if rows.num_rows)
    (_insert_duckdb if url.startswith("duckdb") else _insert_postgres)(filled, url)


def _insert_duckdb(tables: Iterator[Any], url: str) -> None:
    import duckdb

    file = url.removeprefix("duckdb:///")
    with duckdb.connect(file, config={"threads": 2}) as connection:
        for number, rows in enumerate(tables):
            connection.register("rows", rows)
            verb = "INSERT INTO inserted" if number else "CREATE TABLE inserted AS"
            connection.execute(f"{verb} SELECT * FROM rows")
            connection.unregister("rows")


def _insert_postgres(tables: Iterator[Any], url: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        for rows in tables:
            cursor.adbc_ingest("inserted", _plain_columns(rows), mode="create_append")
        connection.commit()


def _read(path: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _plain_columns(rows: Any) -> Any:
    """Decimals and JSON as text: the driver takes no others by COPY."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.string())
        if pa.types.is_decimal(field.type) or isinstance(field.type, pa.JsonType)
        else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


PARTS: dict[str, Callable[..., None]] = {
    part.__name__: part for part in (boto3_receive, by_hand, receive, spool, insert)
}

if __name__ == "__main__":
    os.environ.setdefault("AWS_REGION", "us-west-2")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-west-2")
    PARTS[sys.argv[1]](*sys.argv[2:])
