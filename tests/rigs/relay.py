"""A TCP relay between a client and a server, with the faults of a network: a thread of its own."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any

CHUNK = 64 * 1024


@dataclass
class Fault:
    """What to do to the connections; each may be set while they are open."""

    latency: float = 0.0
    """Seconds that every chunk takes, either way."""
    black_hole: bool = False
    """Swallow everything, and answer nothing."""
    reset_after: int | None = None
    """Reset once the client has sent so many bytes over all its connections."""
    cut: bytes | None = None
    """Reset at a chunk from the client that has these bytes…"""
    cut_at: int = 1
    """…for the so-manieth time…"""
    deliver: bool = True
    """…after the server got it, but before the client hears; or before either."""


class Relay:
    """Relays to a Unix socket, or to (host, port). Use as a context manager.

    With `tls` it speaks that to the client, and nothing but plain text to the server; `asked` is
    for clients of Postgres, who ask for it in plain text.
    """

    def __init__(
        self,
        target: str | tuple[str, int],
        tls: ssl.SSLContext | None = None,
        asked: bool = False,
    ) -> None:
        self.target = target
        self._tls = None if asked else tls
        self._asked = tls if asked else None
        self.fault = Fault()
        self.port = 0
        self.resets = 0
        self.sent = 0
        self._seen = 0
        self._loop = asyncio.new_event_loop()
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")

    def __enter__(self) -> "Relay":
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        # A connection that came just now may have a task that has not begun.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        # A peer may never answer the end of TLS; what stays open would fail some later test.
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(w.wait_closed() for w in self._writers), return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            if self._asked:
                await _encrypted(reader, writer, self._asked)
            if isinstance(self.target, str):
                onward = await asyncio.open_unix_connection(self.target)
            else:
                onward = await asyncio.open_connection(*self.target)
            self._writers.append(onward[1])
        except OSError:
            _reset(writer)
            return
        there = self._pump(reader, onward[1], self._may_pass)
        back = self._pump(onward[0], writer, lambda chunk: _YES)
        pumps = [asyncio.ensure_future(there), asyncio.ensure_future(back)]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if any(pump.result() for pump in done):
                self.resets += 1
                _reset(writer)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for each in (writer, onward[1]):
                each.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        verdict: "Callable[[bytes], Verdict]",
    ) -> bool:
        """Passes chunks on until the end; true where the connection must be reset."""
        try:
            while chunk := await reader.read(CHUNK):
                if self.fault.black_hole:
                    continue
                if self.fault.latency:
                    await asyncio.sleep(self.fault.latency)
                passes, resets = verdict(chunk)
                if passes:
                    writer.write(chunk)
                    await writer.drain()
                if resets:
                    return True
        except OSError:
            return True
        return False

    def _may_pass(self, chunk: bytes) -> "Verdict":
        fault = self.fault
        self.sent += len(chunk)
        if fault.reset_after is not None and self.sent > fault.reset_after:
            fault.reset_after = None
            return False, True
        if fault.cut is not None and fault.cut in chunk:
            self._seen += 1
            if self._seen == fault.cut_at:
                return fault.deliver, True
        return _YES


# What a client of Postgres sends before anything else, to ask for encryption.
ASKS = {"gss": struct.pack("!ii", 8, 80877104), "tls": struct.pack("!ii", 8, 80877103)}


async def _encrypted(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext
) -> None:
    """Goes on in TLS. Raises an OSError where the client wants none, or not this certificate."""
    try:
        while (asked := await reader.readexactly(8)) == ASKS["gss"]:
            writer.write(b"N")
        if asked != ASKS["tls"]:
            raise ConnectionRefusedError
        writer.write(b"S")
        await writer.start_tls(tls)
    except asyncio.IncompleteReadError as gone:
        raise ConnectionResetError from gone


Verdict = tuple[bool, bool]
"""Whether a chunk passes, and whether the connection is reset then."""

_YES: Verdict = (True, False)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST, as a crashed machine or a firewall does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
