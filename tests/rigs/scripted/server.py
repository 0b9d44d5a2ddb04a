"""HTTP/1.1 on 127.0.0.1, no more of it than botocore speaks.

One thread serves one connection, so a call that waits does not hold up another.
"""

import atexit
import contextlib
import itertools
import os
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
Connected = Callable[[socket.socket], None]
_CREDENTIAL = re.compile(r"Credential=([^/,]*)/(?:[^/,]*/([^/,]*)/)?")


class Listener:
    """An address, and the thread that hands every connection to it to the server that has it.

    A server's address waits for the next one: clients of that address can be used again.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.connected: Connected | None = None
        self.host, self.port = self._socket.getsockname()
        self._thread = threading.Thread(target=self._accept, name="scripted-accept", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        # Closing alone does not wake a thread that waits in accept; shutting down does.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if (connected := self.connected) is None:
                connection.close()
            else:
                connected(connection)


class _Waiting:
    """Addresses that no server has at the moment."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._inherited: list[Listener] = []

    def take(self, port: int) -> Listener:
        """The address that was given back last, or of this port; a new one if there is none."""
        for listener in reversed(self._listeners):
            if port in (0, listener.port):
                self._listeners.remove(listener)
                return listener
        return Listener(port)

    def give(self, listener: Listener) -> None:
        """Keeps an address for the next server."""
        self._listeners.append(listener)

    def inherit(self) -> None:
        """Sets them aside in a fork, which lacks the threads that accept."""
        self._inherited += self._listeners
        self._listeners = []

    def close(self) -> None:
        """Ends them."""
        while self._listeners:
            self._listeners.pop().close()


_waiting = _Waiting()
os.register_at_fork(after_in_child=_waiting.inherit)
atexit.register(_waiting.close)


class HttpServer:
    """Hands every request to `answer`: its X-Amz-Target and body, and the key and Region it has."""

    def __init__(self, answer: Answer, clock: VirtualClock, port: int = 0) -> None:
        self._answer = answer
        self._clock = clock
        self._port = port
        self._numbers = itertools.count(1)
        self._listener: Listener | None = None
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The address it listens on."""
        if self._listener is None:
            raise RuntimeError("the server has not been started")
        return f"http://{self._listener.host}:{self._listener.port}"

    def start(self) -> None:
        """Listens, on a free port unless one is given."""
        self._listener = _waiting.take(self._port)
        self._listener.connected = self._connected

    def stop(self) -> None:
        """Closes every connection, and waits for the threads."""
        self._stopping.set()
        if self._listener is not None:
            self._listener.connected = None
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        if self._listener is not None:
            _waiting.give(self._listener)

    def wait(self, seconds: float) -> None:
        """Waits, but not beyond the end of the server."""
        self._stopping.wait(seconds)

    def _connected(self, connection: socket.socket) -> None:
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
