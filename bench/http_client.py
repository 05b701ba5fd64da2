"""The HTTP target alone: deliveries a second beside a raw aiohttp client with the same headers and body, 64 in flight, on uvloop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp

from bench.pace import Rate, in_flight, median, with_uvloop
from bench.receiver import receiver
from bench.schedules import IN_FLIGHT
from bench.table import Row
from schedd.core.model.execution import Cause, DeliveryRequest
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import HttpTarget, Payload
from schedd.targets.http.call import render
from schedd.targets.http.target import HttpTargets

BODY = b'{"report": "daily", "at": "2026-01-01T09:00:00Z"}'


class WallClock:
    """The host's clock, as far as the HTTP target reads it."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


def measure(*, quick: bool) -> list[Row]:
    with receiver() as hits:
        rates = with_uvloop(_rates(hits.url, 1000 if quick else 4000, 1 if quick else 3))
    return [
        Row(
            what="HTTP target: deliveries",
            unit="a second",
            schedd=rates["HttpTargets"].a_second,
            beside="raw aiohttp, same headers",
            other=rates["raw"].a_second,
            by_cpu=rates["raw"].cpu_us / rates["HttpTargets"].cpu_us,
        )
    ]


async def _rates(url: str, calls: int, rounds: int) -> dict[str, Rate]:
    targets = HttpTargets(WallClock())
    target = HttpTarget(url=url, payload=Payload(content=BODY))
    requests = [_request(target, number) for number in range(calls)]
    headers = [dict(render(target, one).headers) for one in requests]

    async def deliver(number: int) -> None:
        result = await targets.deliver(requests[number])
        assert result.outcome is Outcome.SUCCEEDED, result

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)) as session:

        async def raw(number: int) -> None:
            async with session.post(url, data=BODY, headers=headers[number]) as response:
                assert response.status == 200
                await response.read()

        rates: dict[str, list[Rate]] = {"HttpTargets": [], "raw": []}
        for round_number in range(rounds + 1):
            for name, call in (("HttpTargets", deliver), ("raw", raw)):
                measured = await _rate(call, calls)
                if round_number:
                    rates[name].append(measured)
    await targets.aclose()
    return {name: median(values) for name, values in rates.items()}


async def _rate(call: Callable[[int], Awaitable[None]], calls: int) -> Rate:
    before = time.process_time()
    a_second = await in_flight(call, calls, IN_FLIGHT)
    return Rate(a_second=a_second, cpu_us=(time.process_time() - before) / calls * 1e6)


def _request(target: HttpTarget, number: int) -> DeliveryRequest:
    return DeliveryRequest(
        target=target,
        schedule=ScheduleName(group="bench", schedule="report"),
        schedule_uid=7,
        execution_id=number,
        attempt=1,
        cause=Cause.SCHEDULE,
        nominal_us=1_767_258_000_000_000 + number // 100 * 1_000_000,
        due_us=1_767_258_000_000_000 + number // 100 * 1_000_000,
        timeout=timedelta(seconds=60),
    )
