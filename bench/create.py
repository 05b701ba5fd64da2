"""Creations a second: one a call with 64 in flight, and a thousand a call; durable when the call returns.

Limits: an empty grpc.aio method that takes the same calls of the same client, in a process with the same loop; and raw inserts of the same
columns (schedules, timers, journal; no secondary indices), one transaction a thousand. Peer: APScheduler's add_job.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc

from bench import peer, store
from bench.daemon import Daemon, running, scratch
from bench.pace import Rate, alternate, with_uvloop
from bench.schedules import BATCH, PATIENT, create_one_a_call, cron, http, schedule
from bench.side import apart, cpu_s, side
from bench.table import Row, at_least
from schedd.client import Client
from schedd.v1 import schedule_pb2, schedule_service_pb2

BATCHES_IN_FLIGHT = 4
SERVICE = "schedd.v1.ScheduleService"


def serve_empty(pipe: Connection, socket: str) -> None:
    """The process of the empty method: CreateSchedule, answered with nothing."""

    async def create(request: Any, context: Any) -> schedule_pb2.Schedule:
        return schedule_pb2.Schedule()

    async def serve() -> None:
        handler: Any = grpc.unary_unary_rpc_method_handler(
            create,
            request_deserializer=schedule_service_pb2.CreateScheduleRequest.FromString,
            response_serializer=schedule_pb2.Schedule.SerializeToString,
        )
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"CreateSchedule": handler}),))
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        pipe.send("ready")
        await server.wait_for_termination()

    with_uvloop(serve())


def measure(*, quick: bool) -> list[Row]:
    seconds, rounds = (1.0, 1) if quick else (4.0, 3)
    with scratch() as directory, running() as daemon, side(serve_empty, str(directory / "empty.sock")) as empty:
        empty.answer()
        unary = alternate(
            {
                "schedd": partial(_one_a_call, daemon.socket, daemon.pid, seconds),
                "empty": partial(_one_a_call, str(directory / "empty.sock"), empty.pid, seconds),
            },
            rounds,
        )
        batch = alternate(
            {"schedd": partial(_batches, daemon, 1 if quick else 4), "raw": _raw_inserts(directory, seconds / 2)},
            rounds,
        )
        apscheduler: Rate = apart(peer.creations, directory / "peer.db", seconds)
    return [
        _row("Create, 64 in flight", unary["schedd"], "empty grpc.aio method", unary["empty"], 0.8),
        _row("Create, 64 in flight", unary["schedd"], "APScheduler add_job", apscheduler, 3),
        _row("BatchCreate of 1000", batch["schedd"], "raw inserts, same columns", batch["raw"], 0.5),
        _row("BatchCreate of 1000", batch["schedd"], "APScheduler add_job", apscheduler, 40),
    ]


def _row(what: str, ours: Rate, beside: str, theirs: Rate, wanted: float) -> Row:
    return Row(
        what=what,
        unit="a second",
        schedd=ours.a_second,
        beside=beside,
        other=theirs.a_second,
        wanted=at_least(wanted),
        by_cpu=theirs.cpu_us / ours.cpu_us,
    )


def _one_a_call(socket: str, pid: int, seconds: float) -> Rate:
    """The rate, and the CPU time of the server."""
    before, started = cpu_s(pid), time.perf_counter()
    created = with_uvloop(create_one_a_call(socket, f"one-{time.monotonic_ns()}", seconds))
    return Rate(a_second=created / (time.perf_counter() - started), cpu_us=(cpu_s(pid) - before) / created * 1e6)


def _batches(daemon: Daemon, each: int) -> Rate:
    """The rate of BATCHES_IN_FLIGHT callers that make `each` batches; what they send is made beforehand."""
    target, trigger, stamp = http("http://localhost:8080/hook"), cron("*/5 * * * *"), time.monotonic_ns()

    def batch(caller: int, number: int) -> list[schedule_pb2.Schedule]:
        return [schedule(f"b-{stamp}-{caller}-{number}-{one}", trigger, target) for one in range(BATCH)]

    async def create() -> float:
        async def caller(batches: list[list[schedule_pb2.Schedule]]) -> None:
            for one in batches:
                await client.create_schedules(one)

        made = [[batch(number, index) for index in range(each)] for number in range(BATCHES_IN_FLIGHT)]
        async with Client(daemon.socket, timeout=PATIENT) as client:
            started = time.perf_counter()
            await asyncio.gather(*(caller(batches) for batches in made))
            return time.perf_counter() - started

    before, created = daemon.cpu_s(), BATCHES_IN_FLIGHT * each * BATCH
    took = with_uvloop(create())
    return Rate(a_second=created / took, cpu_us=(daemon.cpu_s() - before) / created * 1e6)


def _raw_inserts(directory: Path, seconds: float) -> Callable[[], Rate]:
    rounds = iter(range(100))

    def insert() -> Rate:
        before = time.process_time()
        raw = store.raw_inserts(directory / f"raw-{next(rounds)}.db", store.raw_creations(), BATCH, seconds)
        return Rate(a_second=raw.a_second, cpu_us=(time.process_time() - before) / raw.done * 1e6)

    return insert
