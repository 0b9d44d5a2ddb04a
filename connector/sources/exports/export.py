"""One export, whose manifests were read: which files it has, and where they are now."""

from dataclasses import dataclass
from datetime import datetime

from connector.core.state import Identity
from connector.errors import ExportRefused
from connector.sources.exports import manifest
from connector.sources.exports.manifest import FOLDER, DataFile, Summary
from connector.sources.exports.storage import Storage, missing


@dataclass(frozen=True)
class Located:
    """A data file, and the path where it was found."""

    file: DataFile
    path: str


@dataclass(frozen=True)
class Export:
    """A full export of one table that is complete, as far as its manifests tell."""

    folder: str
    """The path of the folder that holds its manifests."""
    url: str
    at: datetime
    """The time whose state of the table it holds."""
    format: str
    items: int
    files: tuple[Located, ...]


def read_summary(storage: Storage, folder: str) -> Summary | None:
    """What the summary in a folder says; None where there is none (yet).

    Raises ExportRefused where it is damaged, or of a newer format.
    """
    content = _checked(storage, folder, manifest.SUMMARY)
    return None if content is None else manifest.summary(content, _url(storage, folder))


def open_export(storage: Storage, folder: str, table: Identity) -> Export:
    """The export whose manifests a folder holds.

    Raises ExportRefused where it is no whole and full export of this very table.
    """
    summary = read_summary(storage, folder)
    if summary is None:
        raise _no_export(storage, folder)
    at = manifest.check(summary, table)
    return Export(
        folder=folder,
        url=storage.at.url(folder),
        at=at,
        format=summary.format,
        items=summary.items,
        files=open_files(storage, folder, summary),
    )


def open_files(storage: Storage, folder: str, summary: Summary) -> tuple[Located, ...]:
    """The data files of an export, by its list of them. Raises ExportRefused where one lacks."""
    where = storage.at.url(f"{folder}/{manifest.FILES}")
    content = _checked(storage, folder, manifest.FILES)
    if content is None:
        raise missing(where)
    files = manifest.data_files(content, where, summary.items)
    return _located(storage, folder, files)


def _checked(storage: Storage, folder: str, name: str) -> bytes | None:
    """A manifest, compared with its checksum where there is one."""
    content = storage.read(f"{folder}/{name}")
    if content is None:
        return None
    stem = name.removesuffix(".json")
    for ending in ("checksum", "md5"):
        stated = storage.read(f"{folder}/{stem}.{ending}")
        if stated is not None:
            manifest.check_checksum(content, stated, storage.at.url(f"{folder}/{name}"))
    return content


def _url(storage: Storage, folder: str) -> str:
    return storage.at.url(f"{folder}/{manifest.SUMMARY}")


def _no_export(storage: Storage, folder: str) -> ExportRefused:
    url = storage.at.url(folder)
    if storage.read(f"{folder}/_started") is not None:
        return ExportRefused(
            f"The export {url} is not complete: it has no {manifest.SUMMARY}.",
            "Wait until `aws dynamodb describe-export` says COMPLETED; one that has FAILED must be "
            "taken again.",
        )
    if storage.folders(f"{folder}/{FOLDER.rstrip('/')}"):
        return ExportRefused(
            f"{url} holds exports, and is none itself.",
            f"Name one of the folders in {url}/{FOLDER.rstrip('/')}, or set exports.url to {url} "
            "for the newest.",
        )
    return ExportRefused(
        f"There is no export in {url}: it has no {manifest.SUMMARY}.",
        "Name the folder that holds the manifests of a full export.",
    )


def _located(storage: Storage, folder: str, files: tuple[DataFile, ...]) -> tuple[Located, ...]:
    """Every file by where it is: each has a place beside the manifests of its export, and one below
    the folder that AWSDynamoDB/ is in, which differ if only the export's own folder was copied."""
    sizes: dict[str, dict[str, int]] = {}
    found = []
    for file in files:
        places = _places(folder, file.key)
        for path in places:
            parent = path.rpartition("/")[0]
            if parent not in sizes:
                sizes[parent] = storage.sizes(parent)
            if path in sizes[parent]:
                found.append(Located(file, path))
                break
        else:
            raise missing(storage.at.url(places[0]))
    return tuple(found)


def _places(folder: str, key: str) -> list[str]:
    below = key.removeprefix(FOLDER)
    root, inside, _ = f"{folder}/".rpartition(f"/{FOLDER}")
    beside = f"{folder}/{below.partition('/')[2]}"
    return [f"{root}/{key}", beside] if inside else [beside]
