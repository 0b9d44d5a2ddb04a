"""HTTP/1.1 on 127.0.0.1, no more of it than botocore speaks.

One thread serves one connection, so a call that waits does not hold up another.
"""

import contextlib
import itertools
import re
import socket
import threading
from collections.abc import Callable
from email.utils import formatdate

from .clock import VirtualClock
from .responses import Response

REASONS = {200: b"OK", 400: b"Bad Request", 500: b"Internal Server Error"}
LARGEST_HEAD = 64 * 1024

Answer = Callable[[str, bytes, str, str], Response]
_CREDENTIAL = re.compile(r"Credential=([^/,]*)/(?:[^/,]*/([^/,]*)/)?")


_left: list[int] = []
"""Ports of servers that have stopped: clients of one are clients of the next as well."""


class HttpServer:
    """Hands every request to `answer`: its X-Amz-Target and body, and the key and Region it has."""

    def __init__(self, answer: Answer, clock: VirtualClock, port: int = 0) -> None:
        self._answer = answer
        self._clock = clock
        self._port = port
        self._numbers = itertools.count(1)
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The address it listens on."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Listens, on a free port unless one is given."""
        self._listener = _listening(self._port)
        thread = threading.Thread(target=self._accept, name="scripted-accept", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Closes every connection and waits for the threads."""
        self._stopping.set()
        if self._listener is not None:
            # Closing alone does not wake a thread that waits in accept; shutting down does.
            with contextlib.suppress(OSError):
                if not self._port:
                    _left.append(self._listener.getsockname()[1])
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    def wait(self, seconds: float) -> None:
        """Waits, but not beyond the end of the server."""
        self._stopping.wait(seconds)

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                if self._stopping.is_set():
                    connection.close()
                    return
                self._connections.add(connection)
                self._threads = [each for each in self._threads if each.is_alive()]
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # A client may hang up at any moment; that ends its connection and nothing else.
        with contextlib.suppress(ConnectionError, OSError), connection:
            try:
                waiting = b""
                while request := read_request(connection, waiting):
                    head, body, waiting = request
                    if not self._respond(connection, head, body):
                        return
            finally:
                with self._lock:
                    self._connections.discard(connection)

    def _respond(self, connection: socket.socket, head: dict[bytes, bytes], body: bytes) -> bool:
        target = head.get(b"x-amz-target", b"").decode("latin-1")
        signed = _CREDENTIAL.search(head.get(b"authorization", b"").decode("latin-1"))
        key, region = (signed[1], signed[2] or "") if signed else ("", "")
        response = self._answer(target, body, key, region)
        lines = [
            b"HTTP/1.1 %d %s" % (response.status, REASONS.get(response.status, b"Error")),
            b"Content-Type: " + response.content_type.encode(),
            b"Content-Length: %d" % len(response.body),
            b"x-amzn-RequestId: %032X" % next(self._numbers),
            b"x-amz-crc32: %d" % response.crc32,
            b"Date: " + formatdate(self._clock.now(), usegmt=True).encode(),
        ]
        whole = response.sent is None
        send(connection, b"\r\n".join(lines) + b"\r\n\r\n", response.body[: response.sent])
        return whole


def _listening(port: int) -> socket.socket:
    """On a port, or on the one that a server of this process has left last, if it is still free."""
    if not port and _left:
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", _left.pop()), backlog=256)
    return socket.create_server(("127.0.0.1", port), backlog=256)


def read_request(
    connection: socket.socket, waiting: bytes
) -> tuple[dict[bytes, bytes], bytes, bytes] | None:
    """The next request's headers and body and what came after it; None when there is none."""
    while (end := waiting.find(b"\r\n\r\n")) < 0:
        received = connection.recv(65536)
        if not received or len(waiting) > LARGEST_HEAD:
            return None
        waiting += received
    head = {}
    for line in waiting[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        head[name.strip().lower()] = value.strip()
    end += 4
    length = int(head.get(b"content-length", b"0"))
    if b"100-continue" in head.get(b"expect", b"").lower():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(waiting) < end + length:
        received = connection.recv(65536)
        if not received:
            return None
        waiting += received
    return head, waiting[end : end + length], waiting[end + length :]


def send(connection: socket.socket, head: bytes, body: bytes) -> None:
    """Sends both in one go, without first copying a large body behind its head."""
    sent = connection.sendmsg([head, body])
    if sent < len(head):
        connection.sendall(head[sent:] + body)
    elif sent < len(head) + len(body):
        connection.sendall(memoryview(body)[sent - len(head) :])
