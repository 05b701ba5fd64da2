"""The virtual loop and its clock: time leaps, nothing is early, and the contract of the port Clock holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta

import pytest

from schedd.simulation.clock import VirtualClock
from schedd.simulation.loop import StuckError, VirtualLoop
from tests.conformance.clock import HOUR, ClockSuite, Subject, gone_off

START_US = 1_767_225_600_000_000


def on_virtual_time(case: Callable[[VirtualClock], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        runner.run(case(VirtualClock(loop, START_US)))


@pytest.mark.parametrize("name", [name for name in vars(ClockSuite) if name.startswith("test_")])
def test_virtual_clock_keeps_the_contract(name: str) -> None:
    case: Callable[[ClockSuite, Subject], Coroutine[None, None, None]] = getattr(ClockSuite, name)

    async def kept(clock: VirtualClock) -> None:
        async def pass_us(duration_us: int) -> None:
            await clock.sleep(timedelta(microseconds=duration_us))
            await asyncio.sleep(0)

        await case(ClockSuite(), Subject(clock=clock, alarm=clock.alarm, pass_us=pass_us))

    on_virtual_time(kept)


def test_loop_that_waits_for_a_year_takes_no_time() -> None:
    async def wait(clock: VirtualClock) -> None:
        await clock.sleep(timedelta(days=365))
        assert clock.monotonic_us() == 365 * 24 * HOUR

    before = time.process_time()
    on_virtual_time(wait)
    assert time.process_time() - before < 5


def test_loop_where_nothing_can_happen_any_more_says_so() -> None:
    async def wait(clock: VirtualClock) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StuckError):
        on_virtual_time(wait)


def test_loop_calls_what_would_run_on_a_thread_at_once() -> None:
    async def call(clock: VirtualClock) -> None:
        assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 7, 0)

    on_virtual_time(call)


def test_alarm_of_a_host_that_was_suspended_goes_off_at_once() -> None:
    async def step(clock: VirtualClock) -> None:
        alarm = clock.alarm()
        alarm.set(clock.now_us() + HOUR)
        clock.suspend(HOUR)
        await gone_off(alarm)
        assert (clock.monotonic_us(), clock.boot_us()) == (0, HOUR)

    on_virtual_time(step)


def test_alarm_when_the_wall_clock_is_set_back_wakes_its_waiter_and_waits_for_it_to_come_again() -> None:
    async def step(clock: VirtualClock) -> None:
        alarm = clock.alarm()
        due_us = clock.now_us() + HOUR
        alarm.set(due_us)
        clock.step(-HOUR)
        await gone_off(alarm)
        await alarm.wait()
        assert clock.now_us() == due_us
        assert clock.monotonic_us() == 2 * HOUR

    on_virtual_time(step)


def test_alarm_that_was_closed_is_not_rung_by_a_step() -> None:
    async def step(clock: VirtualClock) -> None:
        alarm = clock.alarm()
        alarm.close()
        alarm.close()
        clock.step(HOUR)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(alarm.wait(), 60)

    on_virtual_time(step)
