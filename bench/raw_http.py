"""What a bare HTTP client can send at most: on aiohttp, and as bytes without a library. Each is for a process of its own."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import aiohttp

from bench.pace import Rate, in_flight, with_uvloop
from bench.prototype import CONNECTIONS, delivery_headers
from bench.schedules import IN_FLIGHT


def aiohttp_posts(url: str, posts: int) -> Rate:
    """POSTs a second of an aiohttp session with schedd's headers."""

    async def run() -> float:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            due_us = time.time_ns() // 1000

            async def post(number: int) -> None:
                async with session.post(url, headers=delivery_headers(due_us, number)) as response:
                    await response.read()

            await in_flight(post, IN_FLIGHT, IN_FLIGHT)
            return await in_flight(post, posts, IN_FLIGHT)

    before = time.process_time()
    rate = with_uvloop(run())
    return Rate(a_second=rate, cpu_us=(time.process_time() - before) / posts * 1e6)


def bytes_posts(port: int, posts: int) -> Rate:
    """POSTs a second as bytes, with schedd's headers, several of them on the way on each connection."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        ends = []
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(lambda: _Connection(posts // CONNECTIONS, loop.create_future()), "127.0.0.1", port)
            ends.append(connection.ended)
        await asyncio.gather(*ends)
        return posts // CONNECTIONS * CONNECTIONS / (time.perf_counter() - started)

    before = time.process_time()
    rate = with_uvloop(run())
    return Rate(a_second=rate, cpu_us=(time.process_time() - before) / posts * 1e6)


class _Connection(asyncio.Protocol):
    """Sends so many requests, each answer giving way to the next; `ended` is done when all are answered."""

    def __init__(self, posts: int, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self._to_send = self._unanswered = posts
        self._due_us = time.time_ns() // 1000

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        for _ in range(IN_FLIGHT // CONNECTIONS):
            self._send()

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"HTTP/1.1 200")):  # An answer is so short that it arrives whole.
            self._unanswered -= 1
            self._send()
        if self._unanswered == 0:
            self.ended.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        if self._to_send:
            self._to_send -= 1
            headers = "".join(f"{name}: {value}\r\n" for name, value in delivery_headers(self._due_us, self._to_send).items())
            self._transport.write(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: 0\r\n\r\n".encode())
