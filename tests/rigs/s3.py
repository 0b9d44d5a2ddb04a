"""Just as much of S3 as reading takes, over real HTTP: one bucket whose objects are in a folder."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "exports"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True)
class Asked:
    """One request: its method, what it is for, and who signed it."""

    method: str
    path: str
    access_key: str
    token: str | None
    region: str


@dataclass(frozen=True)
class Refused:
    """An error that a request is answered with."""

    status: int
    code: str


@dataclass
class ScriptedS3:
    """Serves a folder as a bucket. A test refuses requests by what they are."""

    root: Path
    bucket: str = BUCKET
    page_size: int = 1000
    region: str = "us-west-2"
    refuse: Callable[[Asked], Refused | None] = lambda asked: None
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> "ScriptedS3":
        handler = type("Handler", (_Handler,), {"rig": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def key(self, path: Path) -> str:
        """The url of what a test wrote to the folder."""
        return f"s3://{self.bucket}/{path.relative_to(self.root).as_posix()}"


class _Handler(BaseHTTPRequestHandler):
    rig: ScriptedS3
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        signed = re.search(
            r"Credential=([^/]+)/\d+/([^/]+)/", self.headers.get("Authorization", "")
        )
        asked = Asked(
            self.command,
            key or query.get("prefix", ""),
            signed[1] if signed else "",
            self.headers.get("x-amz-security-token"),
            signed[2] if signed else "",
        )
        self.rig.asked.append(asked)
        refused = self.rig.refuse(asked)
        if refused is None and asked.region != self.rig.region:
            refused = Refused(301, "PermanentRedirect")
        if refused is None and bucket != self.rig.bucket:
            refused = Refused(404, "NoSuchBucket")
        if refused is not None:
            self._refuse(refused)
        elif key:
            self._object(self.rig.root / key)
        else:
            self._list(bucket, query)

    def _refuse(self, refused: Refused) -> None:
        text = f"<Error><Code>{refused.code}</Code><Message>No.</Message></Error>".encode()
        self._send(refused.status, text, {})

    def _object(self, path: Path) -> None:
        if not path.is_file():
            self._refuse(Refused(404, "NoSuchKey"))
            return
        content = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, content, {})
            return
        first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        where = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self._send(206, content[first : last + 1], where)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys, folders = [], []
        for path in sorted(self.rig.root.rglob("*")):
            key = path.relative_to(self.rig.root).as_posix()
            if not path.is_file() or not key.startswith(prefix):
                continue
            inner, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            if found:
                folders.append(prefix + inner + delimiter)
            else:
                keys.append((key, path.stat().st_size))
        entries = [*((each, None) for each in dict.fromkeys(folders)), *keys]
        start = int(query.get("continuation-token", "0"))
        size = min(self.rig.page_size, int(query.get("max-keys", "1000")))
        page, left = entries[start : start + size], len(entries) > start + size
        token = f"<NextContinuationToken>{start + size}</NextContinuationToken>" if left else ""
        body = "".join(map(_entry, page))
        text = (
            f'<?xml version="1.0"?><ListBucketResult xmlns="{NAMESPACE}"><Name>{bucket}</Name>'
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(left).lower()}</IsTruncated>"
            f"{token}{body}</ListBucketResult>"
        )
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        length = {"Content-Length": str(len(content)), "ETag": '"x"'}
        length["x-amz-bucket-region"] = self.rig.region
        for name, value in {**length, **headers}.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(entry: tuple[str, int | None]) -> str:
    name, size = entry
    if size is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{escape(name)}</Key><Size>{size}</Size><ETag>&quot;x&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
    )
