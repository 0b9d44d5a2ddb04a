"""What people write by hand: boto3's Scan, TypeDeserializer, executemany. And raw limits.

Each part is a command of its own, so that it is measured like the program.
"""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SEGMENTS = 2


def _client(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def by_hand(endpoint: str, file: str, limit: int) -> None:
    """Scan with boto3, deserialise, insert row by row, until `limit` items."""
    import duckdb
    from boto3.dynamodb.types import TypeDeserializer

    deserialize = TypeDeserializer().deserialize
    with duckdb.connect(file) as connection:
        done = 0
        for items in _pages(_client(endpoint)):
            rows = [{name: deserialize(value) for name, value in item.items()} for item in items]
            names = list(rows[0])
            if not done:
                columns = ", ".join(f'"{name}" VARCHAR' for name in names)
                connection.execute(f"CREATE TABLE load ({columns})")
            marks = ", ".join("?" for _ in names)
            values = [[_text(row.get(name)) for name in names] for row in rows]
            connection.executemany(f"INSERT INTO load VALUES ({marks})", values)
            done += len(rows)
            if done >= limit:
                return


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else sorted(value)


def _pages(client: Any) -> Iterator[list[dict[str, Any]]]:
    start: dict[str, Any] = {}
    while True:
        page = client.scan(TableName="load", **start)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


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
    from connector.config import Source
    from connector.dynamodb.source import DynamoDBSource

    source = DynamoDBSource(Source(endpoint_url=endpoint, region="us-west-2"), "load")
    token: str | None = None
    while True:
        token, _ = source.scan_page(segment, SEGMENTS, token, _token)
        if token is None:
            return


def _token(body: bytes) -> str | None:
    """The cursor at the end of a page, without looking at its items."""
    _, mark, cursor = body.rpartition(b'"LastEvaluatedKey":')
    return cursor[:-1].decode() if mark else None


def insert(folder: str, file: str) -> None:
    """Inserts Arrow files that are ready into a new DuckDB table."""
    import duckdb
    import pyarrow as pa

    paths = sorted(Path(folder).rglob("*.arrow"))
    with duckdb.connect(file, config={"threads": 2}) as connection:
        for number, path in enumerate(paths):
            with pa.memory_map(str(path)) as source:
                rows = pa.ipc.open_file(source).read_all()
            connection.register("rows", rows)
            verb = "INSERT INTO load" if number else "CREATE TABLE load AS"
            connection.execute(f"{verb} SELECT * FROM rows")
            connection.unregister("rows")


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "by_hand":
        by_hand(arguments[0], arguments[1], int(arguments[2]))
    elif what == "receive":
        receive(arguments[0])
    else:
        insert(arguments[0], arguments[1])
