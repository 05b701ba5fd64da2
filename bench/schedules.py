"""The schedules that are created over the API, and who creates them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing.connection import Connection

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bench.pace import with_uvloop
from schedd.client import Client, SyncClient
from schedd.v1 import policy_pb2, schedule_pb2, target_pb2, when_pb2

IN_FLIGHT = 64
BATCH = 1000
PATIENT = timedelta(minutes=2)
"""How long a call may take: on a busy machine a stall must not end a benchmark."""


def http(url: str) -> target_pb2.Target:
    return target_pb2.Target(http=target_pb2.HttpTarget(url=url))


def process(*argv: str) -> target_pb2.Target:
    return target_pb2.Target(process=target_pb2.ProcessTarget(argv=argv))


def cron(text: str) -> when_pb2.Trigger:
    return when_pb2.Trigger(expression=text)


def each_second(phase_s: float) -> when_pb2.Trigger:
    anchor = Timestamp(nanos=int(phase_s * 1e9))
    return when_pb2.Trigger(interval=when_pb2.IntervalTrigger(every=Duration(seconds=1), anchor_time=anchor))


def once(due_s: int) -> when_pb2.Trigger:
    return when_pb2.Trigger(once=when_pb2.OnceTrigger(times=[Timestamp(seconds=due_s)]))


def schedule(name: str, trigger: when_pb2.Trigger, target: target_pb2.Target) -> schedule_pb2.Schedule:
    return schedule_pb2.Schedule(
        name=f"groups/default/schedules/{name}",
        triggers=[trigger],
        target=target,
        policies=policy_pb2.Policies(overlap=policy_pb2.OVERLAP_ALLOW_ALL),
    )


def create_all(socket: str, schedules: Sequence[schedule_pb2.Schedule]) -> None:
    """Create them, a thousand a call."""
    with SyncClient(socket, timeout=PATIENT) as client:
        for start in range(0, len(schedules), BATCH):
            client.create_schedules(schedules[start : start + BATCH])


async def create_one_a_call(socket: str, prefix: str, seconds: float) -> int:
    """Create schedules one a call, IN_FLIGHT calls at a time, for so long; how many it has created."""
    yearly, target = cron("0 0 1 1 *"), http("http://127.0.0.1:9/")
    until = time.monotonic() + seconds
    created = 0

    async def caller(client: Client, number: int) -> None:
        nonlocal created
        mine = 0
        while time.monotonic() < until:
            mine += 1
            await client.create_schedule(schedule(f"{prefix}-{number}-{mine}", yearly, target))
            created += 1

    async with Client(socket, timeout=PATIENT) as client:
        await asyncio.gather(*(caller(client, number) for number in range(IN_FLIGHT)))
    return created


def saturate(pipe: Connection, socket: str) -> None:
    """A process that saturates the daemon with creations for as many seconds as it is told, and answers with how many there were."""
    for turn in range(1_000_000):
        seconds = pipe.recv()
        pipe.send(with_uvloop(create_one_a_call(socket, f"load-{turn}", seconds)))
