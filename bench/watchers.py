"""Events a second that 100 watchers receive, beside a grpc.aio server that sends as many messages of 100 events, encoded beforehand.

The receiving side is the same: 100 streams in one process, which counts events and decodes none. The daemon's events are the entries of
creations, made by batch while the watchers watch; what the same creations take without watchers is subtracted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import grpc

from bench.daemon import Daemon, running, scratch
from bench.pace import with_uvloop
from bench.schedules import BATCH, create_all, cron, http, schedule
from bench.side import Side, cpu_s, side
from bench.table import Row, at_least
from schedd.api.convert.execution import entry as entry_message
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.schedule import ScheduleName
from schedd.v1 import execution_service_pb2 as pb

WATCHERS = 100
EVENTS_A_MESSAGE = 100
METHOD = "/schedd.v1.ExecutionService/WatchExecutions"


def serve_encoded(pipe: Connection, socket: str, messages: int) -> None:
    """A server whose watchers each get so many messages, once all of them are there."""
    encoded = _message()

    async def serve() -> None:
        go, waiting = asyncio.Event(), 0

        async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
            nonlocal waiting
            waiting += 1
            yield b""
            if waiting == WATCHERS:
                pipe.send("watched")
            await go.wait()
            for _ in range(messages):
                yield encoded

        def start() -> None:
            pipe.recv()
            go.set()

        handler: Any = grpc.unary_stream_rpc_method_handler(watch)
        server = grpc.aio.server()
        service, _, name = METHOD[1:].partition("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        pipe.send("ready")
        asyncio.get_running_loop().add_reader(pipe.fileno(), start)
        await server.wait_for_termination()

    with_uvloop(serve())


def _message() -> bytes:
    entry = JournalEntry(
        time_us=time.time_ns() // 1000,
        kind=JournalKind.SCHEDULE_CREATED,
        schedule=ScheduleName(group="default", schedule="watched-1000-1000"),
        schedule_uid=7_000_000_000_000_000,
        actor="local",
        sequence=100_000,
    )
    return pb.WatchExecutionsResponse(events=[entry_message(entry)] * EVENTS_A_MESSAGE, resume_sequence=100_000).SerializeToString()


def watch(pipe: Connection, socket: str, events: int) -> None:
    """The process of the watchers: says when all of them watch, and when each has had `events` events."""

    async def one(channel: grpc.aio.Channel, watching: Callable[[], None]) -> None:
        stream: Any = channel.unary_stream(METHOD)
        stream = stream(pb.WatchExecutionsRequest().SerializeToString())
        await stream.read()
        watching()
        left = events
        while left > 0:
            left -= _count(await stream.read())
        stream.cancel()

    async def all_() -> None:
        count = 0

        def watching() -> None:
            nonlocal count
            count += 1
            if count == WATCHERS:
                pipe.send("watching")

        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
            await asyncio.gather(*(one(channel, watching) for _ in range(WATCHERS)))
        pipe.send("done")

    with_uvloop(all_())


def _count(message: bytes) -> int:
    """How many events a message has: the items of its first field, whose lengths lead from one to the next."""
    count, at = 0, 0
    while at < len(message) and message[at] == _EVENTS_TAG:
        length, shift, at = 0, 0, at + 1
        while message[at] & 128:
            length |= (message[at] & 127) << shift
            shift, at = shift + 7, at + 1
        at += 1 + (length | message[at] << shift)
        count += 1
    return count


_EVENTS_TAG = pb.WatchExecutionsResponse.EVENTS_FIELD_NUMBER << 3 | 2


def measure(*, quick: bool) -> list[Row]:
    batches = 2 if quick else 10
    events = batches * BATCH
    with scratch() as directory:
        socket = str(directory / "encoded.sock")
        with side(serve_encoded, socket, events // EVENTS_A_MESSAGE) as server:
            server.answer()
            encoded_s, encoded_cpu_s = _received(server, socket, events)
    with running() as daemon:
        make = partial(_create, daemon, batches)
        make("warm")
        alone_s, alone_cpu_s = _timed(daemon.pid, partial(make, "alone"))
        with side(watch, daemon.socket, events) as watchers:
            watchers.answer()
            watched_s, watched_cpu_s = _timed(daemon.pid, lambda: (make("watched"), watchers.answer()))
    received = events * WATCHERS
    ours_s, ours_cpu_s = max(watched_s - alone_s, 1e-3), max(watched_cpu_s - alone_cpu_s, 1e-3)
    return [
        Row(
            what="100 watchers, events received",
            unit="a second",
            schedd=received / ours_s,
            beside="messages encoded beforehand",
            other=received / encoded_s,
            wanted=at_least(0.3),
            by_cpu=encoded_cpu_s / ours_cpu_s,
        )
    ]


def _received(server: Side, socket: str, events: int) -> tuple[float, float]:
    with side(watch, socket, events) as watchers:
        watchers.answer()
        server.answer()

        def go() -> None:
            server.tell("go")
            watchers.answer()

        return _timed(server.pid, go)


def _timed(pid: int, work: Callable[[], object]) -> tuple[float, float]:
    """How long it took, and the CPU time of that process meanwhile."""
    before, started = cpu_s(pid), time.perf_counter()
    work()
    return time.perf_counter() - started, cpu_s(pid) - before


def _create(daemon: Daemon, batches: int, prefix: str) -> None:
    trigger, target = cron("0 0 1 1 *"), http("http://127.0.0.1:9/")
    create_all(daemon.socket, [schedule(f"{prefix}-{n}", trigger, target) for n in range(batches * BATCH)])
