"""Every data file of an export, read once before any of it is loaded."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec

from connector.core.keys import KeySchema
from connector.core.texts import Malformed
from connector.errors import ExportRefused
from connector.items.keys import key_of
from connector.items.records import UNDECODABLE
from connector.sources.exports.data_files.formats import Format, items_of, lines_of
from connector.sources.exports.data_files.json_lines import line_count
from connector.sources.exports.data_files.reading import Miscounted
from connector.sources.exports.export import Export, Located
from connector.sources.exports.manifest import AGAIN
from connector.sources.exports.storage import Storage

READERS = 4
"""Decompressing and hashing leave the interpreter to others, and wait for the network."""


def check_files(
    storage: Storage,
    export: Export,
    keys: KeySchema,
    format: Format,
    sleep: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Raises ExportRefused where a file is not the listed one, or its items are of another key.

    `sleep` raises where the run is asked to end.
    """
    failed = threading.Event()

    def read(located: Located, count: Callable[[bytes], int]) -> None:
        reading = lines_of(storage, located, format)
        for lines in reading.lines():
            sleep(0)
            if failed.is_set():
                return
            if not lines.before:
                first = replace(lines, text=lines.text.partition(b"\n")[0])
                _check_key(items_of(format, first, reading.where), keys, reading.where)
            reading.items += count(lines.text)

    def check(located: Located) -> None:
        try:
            read(located, line_count)
        except Miscounted:
            # Others than AWS write blank lines, which take longer to tell.
            read(located, format.count)

    with ThreadPoolExecutor(READERS, "export") as threads:
        try:
            for _ in threads.map(check, export.files):
                continue
        finally:
            # Whatever ended one file, nobody waits for the others.
            failed.set()


def _check_key(items: Sequence[bytes | msgspec.Raw], keys: KeySchema, where: str) -> None:
    for item in items[:1]:
        try:
            key_of(keys, msgspec.json.decode(item))
        except (*UNDECODABLE, Malformed):
            names = " and ".join(f"{key.name} ({key.tag})" for key in keys)
            raise ExportRefused(
                f"{where} has an item without the key of the table, {names}.", AGAIN
            ) from None
