"""The prototype: what a scheduler of one process can do at the least, to be measured beside schedd; both kinds fire in a uvloop process.

Timers are a heap of packed integers, one timerfd on CLOCK_REALTIME wakes the loop. `bare` sends requests as bytes on a few connections and
does nothing else: that is the limit of lateness. `durable` posts with aiohttp and writes the rows that schedd writes (the execution armed
ahead and finished, its attempt, three journal entries), with multi-row statements, into a database with schedd's tables and indices, in one
thread: that is the limit of CPU time a fire.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import aiohttp

from bench.pace import with_uvloop
from schedd.store import database, rows
from schedd.store.statements import Row, insertion, update

CONNECTIONS = 8
SECOND_US = 1_000_000
_INDEX_BITS = 24
_ARM_S = 0.1
_HORIZON_US = 500_000
_LINGER_S = 0.02

Fire = Callable[[int, int], None]
"""Is told the due time in microseconds and the timer's number."""


def bare(pipe: Connection, port: int, rate: int) -> None:
    """A process with `rate` timers that each fire once a second; it answers with the CPU time that it has used."""

    async def run() -> None:
        senders = [await _Sender.connected(port) for _ in range(CONNECTIONS)]

        def fire(due_us: int, index: int) -> None:
            senders[index % CONNECTIONS].send(due_us)

        await _serve(pipe, _Timers(rate, fire))

    with_uvloop(run())


def durable(pipe: Connection, port: int, rate: int, path: Path) -> None:
    """As `bare`, with aiohttp and the rows."""
    sys.setswitchinterval(0.0001)

    async def run() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=128)) as session, asyncio.TaskGroup() as tasks:
            books = _Books(path)

            async def post(due_us: int, number: int) -> None:
                headers = delivery_headers(due_us, number)
                async with session.post(f"http://127.0.0.1:{port}/", headers=headers) as response:
                    books.finished(due_us, number, await response.read())

            def fire(due_us: int, number: int) -> None:
                tasks.create_task(post(due_us, number))

            timers = _Timers(rate, fire)
            tasks.create_task(books.arm(timers))
            tasks.create_task(books.record())
            await _serve(pipe, timers)

    with_uvloop(run())


def delivery_headers(due_us: int, number: int) -> dict[str, str]:
    """What schedd sends with a delivery."""
    instant = _instant(due_us)
    return {
        "Schedd-Schedule": "groups/default/schedules/job",
        "Schedd-Execution": str(number),
        "Schedd-Attempt": "1",
        "Schedd-Nominal-Time": instant,
        "Schedd-Due-Time": instant,
        "Schedd-Delivery-Key": f"{number}:{instant}",
        "Schedd-Cause": "SCHEDULE",
        "Idempotency-Key": f"{number}:{instant}",
    }


async def _serve(pipe: Connection, timers: _Timers) -> None:
    def answer() -> None:
        pipe.recv()
        pipe.send(time.process_time())

    asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
    timers.start()
    pipe.send("ready")
    await asyncio.Event().wait()


_NEVER_BEGUN = (None, None, None, 0, None)
"""When it started, finished and is tried next; its backfill and its origin: of an execution that the rule has armed."""


class _Timers:
    """Timers spread over a second, which call `fire` when they are due and come back a second later."""

    def __init__(self, count: int, fire: Fire) -> None:
        begin_us = time.time_ns() // 1000 + SECOND_US
        self.heap = [begin_us + index * SECOND_US // count << _INDEX_BITS | index for index in range(count)]
        self._fire = fire
        self._fd = _libc.timerfd_create(0, os.O_NONBLOCK)

    def start(self) -> None:
        heapq.heapify(self.heap)
        asyncio.get_running_loop().add_reader(self._fd, self._go_off)
        self._set()

    def due_through(self, limit_us: int) -> list[tuple[int, int]]:
        """What is due by then, without taking it out."""
        return [(entry >> _INDEX_BITS, entry & (1 << _INDEX_BITS) - 1) for entry in self.heap if entry >> _INDEX_BITS <= limit_us]

    def _go_off(self) -> None:
        os.read(self._fd, 8)
        now_us = time.time_ns() // 1000
        while self.heap[0] >> _INDEX_BITS <= now_us:
            entry = self.heap[0]
            heapq.heapreplace(self.heap, entry + (SECOND_US << _INDEX_BITS))
            self._fire(entry >> _INDEX_BITS, entry & (1 << _INDEX_BITS) - 1)
        self._set()

    def _set(self) -> None:
        seconds, micros = divmod(self.heap[0] >> _INDEX_BITS, SECOND_US)
        _libc.timerfd_settime(self._fd, 1, (ctypes.c_long * 4)(0, 0, seconds, micros * 1000), None)


class _Sender(asyncio.Protocol):
    """One connection, on which requests may follow each other before they are answered."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport

    @classmethod
    async def connected(cls, port: int) -> _Sender:
        _, protocol = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due_us: int) -> None:
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nSchedd-Due-Time: {_instant(due_us)}\r\nContent-Length: 0\r\n\r\n"
        self._transport.write(head.encode())


class _Books:
    """The rows of fires, written by one thread: armed ahead of their due time, and recorded a little after their end."""

    def __init__(self, path: Path) -> None:
        self._connection = database.open_for_writing(path)
        self._thread = ThreadPoolExecutor(1)
        self._ids: dict[tuple[int, int], int] = {}
        self._armed_through_us = 0
        self._sequence = 0
        self._ended: list[tuple[int, int, int, bytes]] = []

    async def arm(self, timers: _Timers) -> None:
        """Insert what comes due within the horizon, each tenth of a second."""
        loop = asyncio.get_running_loop()
        while True:
            now_us = time.time_ns() // 1000
            ahead = [(due_us, index) for due_us, index in timers.due_through(now_us + _HORIZON_US) if due_us > self._armed_through_us]
            self._armed_through_us = now_us + _HORIZON_US
            if ahead:
                executions, entries = list[Row](), list[Row]()
                for due_us, index in ahead:
                    number = self._ids[due_us, index] = len(self._ids) + 1
                    executions.append(
                        (number, index, index, 1, "SCHEDULE", due_us, due_us, now_us, "ARMED", None, "NONE", 0, *_NEVER_BEGUN)
                    )
                    entries.append(self._entry("EXECUTION_ARMED", now_us, due_us, index, number))
                await loop.run_in_executor(self._thread, self._write_armed, executions, entries)
            await asyncio.sleep(_ARM_S)

    def finished(self, due_us: int, index: int, body: bytes) -> None:
        self._ended.append((due_us, index, time.time_ns() // 1000, body))

    async def record(self) -> None:
        """Write what has ended, each time as much as there is."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LINGER_S)
            ended, self._ended = self._ended, []
            if not ended:
                continue
            changes, attempts, entries = list[Row](), list[Row](), list[Row]()
            for due_us, index, end_us, body in ended:
                number = self._ids.get((due_us, index), 0)
                changes.append((number, "FINISHED", "SUCCEEDED", "COMPLETED", 1, due_us, end_us, None))
                attempts.append((number, 1, due_us, end_us, "SUCCEEDED", "COMPLETED", 200, "", body, b"", 0, None))
                entries.append(self._entry("EXECUTION_STARTED", due_us, due_us, index, number))
                entries.append(self._entry("EXECUTION_FINISHED", end_us, due_us, index, number))
            await loop.run_in_executor(self._thread, self._write_recorded, changes, attempts, entries)

    def _entry(self, kind: str, time_us: int, due_us: int, index: int, number: int) -> Row:
        self._sequence += 1
        return (self._sequence, time_us, kind, "", index, index, number, "SCHEDULE", due_us, due_us, 1, None, "NONE", None)

    def _write_armed(self, executions: list[Row], entries: list[Row]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        _INSERT_EXECUTIONS.run(self._connection, executions)
        _INSERT_JOURNAL.run(self._connection, entries)
        self._connection.execute("COMMIT")

    def _write_recorded(self, changes: list[Row], attempts: list[Row], entries: list[Row]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        _FINISH.run(self._connection, changes)
        _INSERT_ATTEMPTS.run(self._connection, attempts)
        _INSERT_JOURNAL.run(self._connection, entries)
        self._connection.execute("COMMIT")


def _instant(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="microseconds")


_INSERT_EXECUTIONS = insertion("executions", rows.EXECUTION_COLUMNS)
_INSERT_ATTEMPTS = insertion("attempts", rows.ATTEMPT_COLUMNS, "ON CONFLICT DO NOTHING")
_INSERT_JOURNAL = insertion("journal", rows.JOURNAL_COLUMNS)
_FINISH = update("executions", "id", rows.EXECUTION_STANDING)
_libc = ctypes.CDLL(None, use_errno=True)
