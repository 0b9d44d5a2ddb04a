"""What the manifests of an export say, and whether that is an export that can be loaded."""

import hashlib
import re
from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from connector.core.state import Identity
from connector.errors import ExportRefused
from connector.items.records import UNDECODABLE

SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"
FOLDER = "AWSDynamoDB/"
"""What the key of everything in an export has in it, after the prefix that was asked for."""

NEWEST_VERSION = "2023-08-01"
FULL = "FULL_EXPORT"
INCREMENTAL = "INCREMENTAL_EXPORT"
JSON = "DYNAMODB_JSON"
ION = "ION"

AGAIN = "Copy the export again, whole, or take a new one."
_OF_LENGTH = {16: hashlib.md5, 20: hashlib.sha1, 32: hashlib.sha256}
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")

Decoded = TypeVar("Decoded")


class _Summary(msgspec.Struct, rename="camel"):
    version: str
    table_arn: str
    item_count: int
    output_format: str
    table_id: str = ""
    export_arn: str | None = None
    export_time: str | None = None
    export_type: str | None = None
    export_from_time: str | None = None
    export_to_time: str | None = None
    filter_specification: Any = None


class _File(msgspec.Struct, rename="camel"):
    item_count: int
    data_file_s3_key: str = msgspec.field(name="dataFileS3Key")
    md5_checksum: str | None = None


@dataclass(frozen=True)
class Summary:
    """What `manifest-summary.json` says."""

    where: str
    """The summary's own url."""
    table_arn: str
    table_id: str
    at: datetime | None
    """The time whose state of the table a full export holds."""
    kind: str
    format: str
    items: int
    version: str = NEWEST_VERSION
    filtered: bool = False
    arn: str | None = None
    """The ARN of the export."""
    begin: datetime | None = None
    """The time that an incremental export begins with."""
    end: datetime | None = None
    """The time before which it ends."""

    @property
    def full(self) -> bool:
        """Whether it is an export of a whole table."""
        return self.kind == FULL and not self.filtered

    def of(self, table: Identity) -> bool:
        """Whether it is an export of this very table, not of another one of its name."""
        return self.table_arn == table.table_arn and self.table_id == table.table_id


@dataclass(frozen=True)
class DataFile:
    """One file of items, as `manifest-files.json` lists it."""

    key: str
    """Its key from `AWSDynamoDB/` on."""
    items: int
    md5: bytes | None


def summary(content: bytes, where: str) -> Summary:
    """What a summary says. Raises ExportRefused where it is none, or of a newer format."""
    found = _decoded(content, _Summary, where, "the summary of an export")
    if not _VERSION.fullmatch(found.version) or found.version > NEWEST_VERSION:
        raise ExportRefused(
            f"{where} has the version {found.version}, and the newest known is {NEWEST_VERSION}.",
            "Use a newer version of this program, or load the table with a scan.",
        )
    if not found.table_id:
        raise ExportRefused(f"{where} lacks tableId.", AGAIN)
    if found.item_count < 0:
        raise ExportRefused(f"{where} counts {found.item_count} items.", AGAIN)
    return Summary(
        where=where,
        table_arn=found.table_arn,
        table_id=found.table_id,
        at=_moment(found.export_time, where, "exportTime"),
        kind=found.export_type or FULL,
        format=found.output_format,
        items=found.item_count,
        version=found.version,
        filtered=bool(found.filter_specification),
        arn=found.export_arn,
        begin=_moment(found.export_from_time, where, "exportFromTime"),
        end=_moment(found.export_to_time, where, "exportToTime"),
    )


def check(found: Summary, table: Identity) -> datetime:
    """The time that a full export of this table is of. Raises ExportRefused for any other."""
    if not found.of(table):
        _refuse_foreign(found, table)
    if found.filtered:
        raise of_a_filter(found)
    if found.kind == INCREMENTAL:
        raise ExportRefused(
            f"{found.where} is of an incremental export, which holds only what changed in its "
            "time.",
            "Name a full export.",
        )
    if not found.full:
        raise ExportRefused(
            f"{found.where} is of a {found.kind}, a kind of export that is not known.",
            "Name a full export.",
        )
    if found.at is None:
        raise ExportRefused(f"{found.where} lacks exportTime.", AGAIN)
    _check_format(found)
    return found.at


def check_window(found: Summary) -> tuple[datetime, datetime]:
    """The times of an incremental export. Raises ExportRefused where it cannot be used."""
    if found.filtered:
        raise of_a_filter(found)
    if found.begin is None or found.end is None:
        missing = "exportFromTime" if found.begin is None else "exportToTime"
        raise ExportRefused(f"{found.where} lacks {missing}.", AGAIN)
    if found.begin >= found.end:
        raise ExportRefused(f"{found.where} ends before it begins.", AGAIN)
    _check_format(found)
    return found.begin, found.end


def of_a_filter(found: Summary) -> ExportRefused:
    """The error for an export that leaves out what a filter does."""
    return ExportRefused(
        f"{found.where} was made with a filter, so it is no whole table.",
        f"Take {'a full' if found.kind == FULL else 'an'} export without one.",
    )


def _check_format(found: Summary) -> None:
    if found.format not in (JSON, ION):
        raise ExportRefused(
            f"{found.where} is in the format {found.format}, which is not known.",
            f"Take an export in {JSON} or {ION}.",
        )


def _refuse_foreign(found: Summary, table: Identity) -> None:
    if found.table_arn == table.table_arn:
        raise ExportRefused(
            f"{found.where} is of an earlier table of the same name: {table.table_arn} was deleted "
            "and created again since.",
            "Name an export of the table as it is now.",
        )
    raise ExportRefused(
        f"{found.where} is of {found.table_arn}, and the table is {table.table_arn}.",
        "Name an export of this table.",
    )


def data_files(content: bytes, where: str, total: int) -> tuple[DataFile, ...]:
    """The listed files. Raises ExportRefused where the list is damaged or does not add up."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    files = tuple(_data_file(line, where, number) for number, line in enumerate(lines, 1))
    seen: set[str] = set()
    for file in files:
        if file.key in seen:
            raise ExportRefused(f"{where} lists {file.key} twice.", AGAIN)
        seen.add(file.key)
    listed = sum(file.items for file in files)
    if listed != total:
        raise ExportRefused(
            f"{where} lists files with {listed:,} items, and the summary counts {total:,}.", AGAIN
        )
    return files


def _data_file(line: bytes, where: str, number: int) -> DataFile:
    found = _decoded(line, _File, f"Line {number} of {where}", "a data file's entry")
    folder, slash, rest = found.data_file_s3_key.rpartition(FOLDER)
    del folder
    if not slash or ".." in rest.split("/") or found.item_count < 0:
        raise ExportRefused(f"Line {number} of {where} names no data file of an export.", AGAIN)
    md5 = found.md5_checksum
    digest = checksum(md5) if md5 else None
    if md5 and (digest is None or len(digest) != 16):
        raise ExportRefused(f"Line {number} of {where} has an MD5 that is none.", AGAIN)
    return DataFile(FOLDER + rest, found.item_count, digest)


def checksum(text: str) -> bytes | None:
    """The bytes of a checksum in base64 or in hexadecimal digits; None where it is none."""
    text = text.strip().strip('"')
    if _HEX.fullmatch(text) and len(text) // 2 in _OF_LENGTH:
        return bytes.fromhex(text)
    try:
        digest = b64decode(text, validate=True)
    except (NoBase64, ValueError):
        return None
    return digest if len(digest) in _OF_LENGTH else None


def check_checksum(content: bytes, stated: bytes, where: str) -> None:
    """Raises ExportRefused where a manifest is not the one that its checksum was made of."""
    digest = checksum(stated.decode(errors="replace"))
    if digest is None:
        raise ExportRefused(f"The checksum beside {where} is none that is known.", AGAIN)
    made = _OF_LENGTH[len(digest)](content, usedforsecurity=False).digest()
    if made != digest:
        raise ExportRefused(f"{where} is damaged: its checksum is another one.", AGAIN)


def _decoded(content: bytes, type_: type[Decoded], where: str, what: str) -> Decoded:
    try:
        return msgspec.json.decode(content, type=type_)
    except UNDECODABLE:
        raise ExportRefused(f"{where} is not {what}, or was cut off.", AGAIN) from None


def _moment(text: str | None, where: str, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ExportRefused(f"{where} has an {name} that is no time.", AGAIN) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
