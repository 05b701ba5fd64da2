"""The process target alone: starts of /bin/true a second, 64 in flight, beside Popen + pidfd, in a small process and with 1 GB resident."""

from __future__ import annotations

import os
import statistics

from bench.backlog import COMMAND, popen, popen_with_pipes
from bench.pace import in_flight, with_uvloop
from bench.schedules import IN_FLIGHT
from bench.side import apart
from bench.table import Row, at_least
from schedd.core.model.execution import Cause, DeliveryRequest
from schedd.core.model.reason import Outcome
from schedd.core.model.schedule import ScheduleName
from schedd.core.model.target import ProcessTarget
from schedd.targets.process.target import ProcessTargets

SMALL_MB, LARGE_MB = 20, 1024


def measure(*, quick: bool) -> list[Row]:
    calls, rounds = (300, 1) if quick else (1000, 3)
    small: dict[str, float] = apart(rates, calls, rounds, SMALL_MB)
    large: dict[str, float] = apart(rates, calls, rounds, LARGE_MB)
    ours = small["target"]
    return [
        Row(what="process target: starts", unit="a second", schedd=ours, beside="Popen + pidfd", other=small["popen"]),
        Row(what="process target: starts", unit="a second", schedd=ours, beside="the same, with pipes", other=small["pipes"]),
        Row(
            what="process target: starts, 1 GB resident",
            unit="a second",
            schedd=large["target"],
            beside="schedd, 50 MB resident",
            other=ours,
            wanted=at_least(0.9),
        ),
    ]


def rates(calls: int, rounds: int, resident_mb: int) -> dict[str, float]:
    """The median rates in this process, once it has so much memory more."""
    ballast = bytearray(os.urandom(1 << 20) * resident_mb)
    found = with_uvloop(_rates(calls, rounds))
    assert len(ballast) == resident_mb << 20
    return found


async def _rates(calls: int, rounds: int) -> dict[str, float]:
    targets = ProcessTargets()

    async def target(number: int) -> None:
        result = await targets.deliver(_request(number))
        assert result.outcome is Outcome.SUCCEEDED, result

    found: dict[str, list[float]] = {"target": [], "popen": [], "pipes": []}
    for round_number in range(rounds + 1):
        for name, call in zip(found, (target, popen, popen_with_pipes), strict=True):
            measured = await in_flight(call, calls, IN_FLIGHT)
            if round_number:
                found[name].append(measured)
    await targets.aclose()
    return {name: statistics.median(values) for name, values in found.items()}


def _request(number: int) -> DeliveryRequest:
    return DeliveryRequest(
        target=ProcessTarget(argv=(COMMAND,)),
        schedule=ScheduleName(group="bench", schedule="true"),
        schedule_uid=7,
        execution_id=number,
        attempt=1,
        cause=Cause.SCHEDULE,
        nominal_us=1_767_258_000_000_000,
        due_us=1_767_258_000_000_000,
    )
