"""Exports to S3 as AWS lays them out: manifests, their checksums, and gzip files of items."""

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.scripted import Table
from tests.rigs.scripted.items import Item

needs_ion = pytest.mark.skipif(
    find_spec("amazon") is None, reason="the extra ion is missing: make test-core brings it"
)
FORMS = ["DYNAMODB_JSON", pytest.param("ION", marks=needs_ion)]
ENDINGS = {"DYNAMODB_JSON": "json.gz", "ION": "ion.gz"}


@dataclass
class Export:
    """An export in a folder: written whole, and then perhaps damaged by a test."""

    root: Path
    """The folder that holds AWSDynamoDB/."""
    folder: Path
    """The folder that holds the manifests."""
    prefix: str = ""
    files: list[Path] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What `--export` names."""
        return self.folder.as_uri()

    @property
    def summary(self) -> dict[str, Any]:
        """The content of its summary."""
        return json.loads((self.folder / "manifest-summary.json").read_text())

    def say(self, **members: object) -> None:
        """Changes what the summary says, with a checksum that fits."""
        said = {name: value for name, value in (self.summary | members).items() if value != "-"}
        self.write("manifest-summary.json", said)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What the list of files says."""
        text = (self.folder / "manifest-files.json").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def list(self, *entries: Mapping[str, Any]) -> None:
        """Changes the list of files, with a checksum that fits."""
        self.write("manifest-files.json", *entries)

    def write(self, name: str, *objects: object) -> None:
        """Writes a manifest and its checksum."""
        lines = [json.dumps(each, separators=(",", ":")) + "\n" for each in objects]
        content = "".join(lines).encode()
        (self.folder / name).write_bytes(content)
        for ending in ("checksum", "md5"):
            path = self.folder / name.replace("json", ending)
            if path.exists() or ending == "checksum":
                path.write_text(md5(content))

    def replace(self, index: int, content: bytes, items: int | None = None) -> None:
        """Puts another file in the place of one; its entry fits where `items` are told."""
        self.files[index].write_bytes(content)
        if items is not None:
            entries = self.entries
            entries[index] |= {"md5Checksum": md5(content), "itemCount": items}
            self.list(*entries)
            self.say(itemCount=sum(each["itemCount"] for each in entries))


def md5(content: bytes) -> str:
    """As a manifest spells it."""
    return b64encode(hashlib.md5(content).digest()).decode()


def stamp(at: datetime) -> str:
    """A time as a manifest spells it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(
    root: Path,
    table: Table,
    at: datetime | None = None,
    *,
    items: Sequence[Item] | None = None,
    form: str = "DYNAMODB_JSON",
    files: int = 3,
    prefix: str = "exports/of orders",
    name: str = "01604474914028-a1b2c3d4",
    summary: Mapping[str, object] | None = None,
) -> Export:
    """An export of a table as it is now, or of other items."""
    at = at or table.clock.datetime()
    found = table.items() if items is None else items
    folder = root / "AWSDynamoDB" / name
    (folder / "data").mkdir(parents=True)
    (folder / "_started").touch()
    export = Export(root, folder, prefix)
    entries = []
    for index in range(files):
        own = found[index::files]
        content = b"" if not own else compressed(own, form)
        path = folder / "data" / f"{hashlib.sha1(f'{name} {index}'.encode()).hexdigest()[:26]}"
        path = path.with_suffix(f".{ENDINGS[form]}")
        path.write_bytes(content)
        export.files.append(path)
        entries.append(
            {
                "itemCount": len(own),
                "md5Checksum": md5(content),
                "etag": f"{hashlib.md5(content).hexdigest()}-1",
                "dataFileS3Key": f"{prefix}/{path.relative_to(root).as_posix()}",
            }
        )
    export.write("manifest-files.json", *entries)
    export.write("manifest-summary.json", _summary(export, table, at, form, len(found)))
    if summary:
        export.say(**summary)
    return export


def write_window(
    root: Path,
    table: Table,
    begin: datetime,
    end: datetime,
    *,
    form: str = "DYNAMODB_JSON",
    files: int = 2,
    prefix: str = "exports/of orders",
    name: str = "",
    view: str = "NEW_AND_OLD_IMAGES",
    summary: Mapping[str, object] | None = None,
) -> Export:
    """An incremental export: of each item that changed in a window, how it ended.

    As AWS may, it has no line for an item that was put and deleted within the window.
    """
    name = name or f"{begin:%m%dT%H%M%S}-{end:%m%dT%H%M%S}"
    folder, shared = root / "AWSDynamoDB" / name, root / "AWSDynamoDB" / "data"
    folder.mkdir(parents=True)
    shared.mkdir(exist_ok=True)
    (folder / "_started").touch()
    export = Export(root, folder, prefix)
    lines = [_changed(each, form, view) for each in changes(table, begin, end)]
    entries = []
    for index in range(files):
        own = lines[index::files]
        content = gzip.compress("".join(own).encode(), mtime=0) if own else b""
        digest = hashlib.sha1(f"{name} {index}".encode()).hexdigest()[:26]
        path = shared / f"{digest}.{ENDINGS[form]}"
        path.write_bytes(content)
        export.files.append(path)
        entries.append(
            {
                "itemCount": len(own),
                "md5Checksum": md5(content),
                "etag": f"{hashlib.md5(content).hexdigest()}-1",
                "dataFileS3Key": f"{prefix}/{path.relative_to(root).as_posix()}",
            }
        )
    export.write("manifest-files.json", *entries)
    said: dict[str, object] = dict(_summary(export, table, end, form, len(lines)))
    del said["exportTime"]
    said |= {
        "version": "2023-08-01",
        "exportType": "INCREMENTAL_EXPORT",
        "exportFromTime": stamp(begin),
        "exportToTime": stamp(end),
        "outputView": view,
    }
    export.write("manifest-summary.json", said)
    if summary:
        export.say(**summary)
    return export


@dataclass(frozen=True)
class Changed:
    """One item that changed in a window: before it, and at its end."""

    key: Item
    at: float
    before: Item | None
    after: Item | None


def changes(table: Table, begin: datetime, end: datetime) -> list[Changed]:
    """What an incremental export of a window has."""
    with table.lock:
        first, last = begin.timestamp(), end.timestamp()
        written = table.rows.written(first, last)
        old, new = table.rows.as_of(first - 1e-6), table.rows.as_of(last - 1e-6)
        found = []
        for position, at in written.items():
            before, after = old.get(position), new.get(position)
            item = after or before
            if item is not None:
                key = table.schema.key_of(item.item)
                items = [each.item if each else None for each in (before, after)]
                found.append(Changed(key, at, *items))
        return found


def _changed(change: Changed, form: str, view: str) -> str:
    images = {"NewImage": change.after}
    if view == "NEW_AND_OLD_IMAGES":
        images["OldImage"] = change.before
    written = {"Keys": change.key} | {n: item for n, item in images.items() if item is not None}
    micros = round(change.at * 1_000_000)
    if form == "DYNAMODB_JSON":
        record = {"Metadata": {"WriteTimestampMicros": {"N": str(micros)}}, **written}
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"
    parts = [f"Metadata:{{WriteTimestampMicros:{micros}.}}"]
    parts += [f"{name}:{_struct(item)}" for name, item in written.items()]
    return f"$ion_1_0 {{Record:{{{','.join(parts)}}}}}\n"


def _summary(
    export: Export, table: Table, at: datetime, form: str, items: int
) -> dict[str, object]:
    files = f"{export.prefix}/AWSDynamoDB/{export.folder.name}/manifest-files.json"
    return {
        "version": "2020-06-30",
        "exportArn": f"{table.arn}/export/{export.folder.name}",
        "startTime": stamp(at),
        "endTime": stamp(at),
        "tableArn": table.arn,
        "tableId": table.id,
        "exportTime": stamp(at),
        "s3Bucket": "exports",
        "s3Prefix": export.prefix,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": files,
        "billedSizeBytes": 0,
        "itemCount": items,
        "outputFormat": form,
        "exportType": "FULL_EXPORT",
    }


def compressed(items: Sequence[Item], form: str = "DYNAMODB_JSON") -> bytes:
    """A data file of items."""
    line = json_line if form == "DYNAMODB_JSON" else ion_line
    return gzip.compress("".join(map(line, items)).encode(), mtime=0)


def json_line(item: Item) -> str:
    """A line of DynamoDB JSON."""
    return json.dumps({"Item": item}, separators=(",", ":"), ensure_ascii=False) + "\n"


def ion_line(item: Item) -> str:
    """A line of Ion text."""
    return f"$ion_1_0 {{Item:{_struct(item)}}}\n"


def _struct(members: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{_text(name)}:{_ion(each)}" for name, each in members.items()) + "}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _ion(value: Mapping[str, Any]) -> str:
    ((tag, content),) = value.items()
    match tag:
        case "S":
            return _text(content)
        case "N":
            return _decimal(content)
        case "B":
            return "{{" + content + "}}"
        case "BOOL":
            return json.dumps(content)
        case "NULL":
            return "null"
        case "M":
            return _struct(content)
        case "L":
            return "[" + ",".join(map(_ion, content)) + "]"
        case _:
            return f"$dynamodb_{tag}::[{','.join(_ion({tag[0]: each}) for each in content)}]"


def _decimal(text: str) -> str:
    sign, digits, exponent = Decimal(text).as_tuple()
    return f"{'-' if sign else ''}{''.join(map(str, digits))}d{exponent}"
