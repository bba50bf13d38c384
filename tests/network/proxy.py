"""A TCP proxy in front of a real server that does to connections what networks and dying servers do."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from enum import Enum, auto
from urllib.parse import urlsplit

LATE = 0.6


class Fault(Enum):
    """What happens to every connection, those that are open included."""

    DELAY = auto()  # each reply comes `LATE` seconds late: later than any client here waits
    RESET = auto()  # RST, now and at each attempt
    HALF_CLOSE = auto()  # requests go through; instead of a reply the stream ends, and no more is sent
    SILENCE = auto()  # accepted, read, never answered
    REFUSE = auto()  # nobody listens
    LOSE_REPLY = auto()  # the server does the work; the connection breaks at its reply
    TRICKLE = auto()  # a reply comes a byte at a time, so that no single wait for data is long

    def __repr__(self):
        return self.name.lower()


class Proxy:
    """Passes everything on until `fault` is set; `await repair()` ends the fault.

    Attributes:
        port: Where it listens; the same for as long as it lives.
        fault: What it does to connections now.
    """

    def __init__(self, url):
        target = urlsplit(url)
        self._server_behind = (target.hostname, target.port)
        self._elsewhere = None
        self._rest = target.path
        self._scheme = target.scheme
        self._server = None
        self._links = set()
        self.port = None
        self.fault = None

    @property
    def url(self):
        return f"{self._scheme}://127.0.0.1:{self.port}{self._rest}"

    async def listen(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port or 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def break_by(self, fault):
        self.fault = fault
        if fault is Fault.REFUSE:
            self._server.close()
        if fault in (Fault.REFUSE, Fault.RESET):
            await self._end_links()

    async def repair(self):
        """Let everything through again. What was held back is lost, with its connection."""
        refused, self.fault = self.fault is Fault.REFUSE, None
        await self._end_links()
        if refused:
            await self.listen()

    async def lead_to(self, address):
        """Let another server answer; None for the real one."""
        self._elsewhere = address
        await self._end_links()

    async def close(self):
        self._server.close()
        await self._end_links()

    async def _end_links(self):
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _serve(self, reader, writer):
        link = asyncio.current_task()
        self._links.add(link)
        upstream = None
        try:
            if self.fault is not Fault.RESET:
                up_reader, upstream = await asyncio.open_connection(*(self._elsewhere or self._server_behind))
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._requests(reader, upstream))
                    ways.create_task(self._replies(up_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            _reset(writer)
            if upstream is not None:
                upstream.close()

    async def _requests(self, reader, upstream):
        while data := await reader.read(65536):
            if self.fault is Fault.SILENCE:
                continue
            upstream.write(data)
            await upstream.drain()
        upstream.write_eof()

    async def _replies(self, up_reader, writer):
        while data := await up_reader.read(65536):
            match self.fault:
                case Fault.LOSE_REPLY:
                    raise ConnectionResetError
                case Fault.HALF_CLOSE:
                    writer.write_eof()
                    return
                case Fault.SILENCE:
                    continue
                case Fault.DELAY:
                    await asyncio.sleep(LATE)
                case Fault.TRICKLE:
                    for byte in data[:-1]:
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(LATE / 20)
                    data = data[-1:]
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def _reset(writer):
    """Close as a crashed machine's network does: RST instead of an orderly end."""
    if (sock := writer.get_extra_info("socket")) is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxied(url):
    """A proxy in front of the server of a URL."""
    proxy = Proxy(url)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
