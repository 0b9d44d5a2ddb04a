"""A small STS on this machine: it lets a role be assumed, or answers as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_XMLNS = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass
class Sts:
    """Its answers: `refusal` is a status and a code, `lifetime` that of the credentials."""

    url: str
    refusal: tuple[int, str] | None = None
    lifetime: timedelta = timedelta(hours=1)
    asked: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: dict[str, str]) -> tuple[int, str]:
        """A status and a body."""
        self.asked.append(request)
        action = request["Action"]
        if self.refusal:
            status, code = self.refusal
            kind = "Sender" if status < 500 else "Receiver"
            return status, (
                f'<ErrorResponse xmlns="{_XMLNS}"><Error><Type>{kind}</Type><Code>{code}</Code>'
                "<Message>canary: no</Message></Error><RequestId>1</RequestId></ErrorResponse>"
            )
        until = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 200, (
            f'<{action}Response xmlns="{_XMLNS}"><{action}Result><Credentials>'
            "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>canary</SecretAccessKey>"
            f"<SessionToken>canary</SessionToken><Expiration>{until}</Expiration></Credentials>"
            f"</{action}Result></{action}Response>"
        )


@contextmanager
def running() -> Iterator[Sts]:
    """A started STS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = sts.answer({name: each[0] for name, each in parse_qs(body).items()})
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sts = Sts(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
