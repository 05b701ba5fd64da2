"""The host's clock with each of its alarms, and the clock that the engine's tests move, keep the ports' contract."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta

import pytest
import uvloop

from schedd.engine.clock import LoopAlarm, SystemClock, TimerfdAlarm
from tests.conformance.clock import HOUR, MS, ClockSuite, Subject, gone_off, is_silent
from tests.engine.rig import HandClock


async def wait_us(duration_us: int) -> None:
    await asyncio.sleep(duration_us / 1e6)
    await asyncio.sleep(0)


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
class TestSystemClockWithTimerfd(ClockSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(clock=SystemClock(), alarm=TimerfdAlarm, pass_us=wait_us)

    async def test_clock_gives_timerfd_alarms(self) -> None:
        alarm = SystemClock().alarm()
        assert isinstance(alarm, TimerfdAlarm)
        alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
@pytest.mark.parametrize("name", [name for name in vars(ClockSuite) if name.startswith("test_")])
def test_system_clock_with_timerfd_on_uvloop_keeps_the_contract_too(name: str) -> None:
    case: Callable[[ClockSuite, Subject], Coroutine[None, None, None]] = getattr(ClockSuite, name)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(case(ClockSuite(), Subject(clock=SystemClock(), alarm=TimerfdAlarm, pass_us=wait_us)))


class TestSystemClockWithTheLoopsTimer(ClockSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        clock = SystemClock()
        return Subject(clock=clock, alarm=lambda: LoopAlarm(clock.now_us), pass_us=wait_us)


class TestHandClock(ClockSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        clock = HandClock()

        async def move(duration_us: int) -> None:
            await asyncio.sleep(0)
            clock.move(duration_us)
            for _ in range(3):
                await asyncio.sleep(0)

        return Subject(clock=clock, alarm=clock.alarm, pass_us=move)

    async def test_step_of_the_clock_wakes_the_waiter(self) -> None:
        clock = HandClock()
        alarm = clock.alarm()
        alarm.set(clock.now_us() + HOUR)
        clock.step(-HOUR)
        await gone_off(alarm)


async def test_system_clock_sleep_lets_that_much_monotonic_time_pass() -> None:
    clock = SystemClock()
    before_us = clock.monotonic_us()
    await clock.sleep(timedelta(milliseconds=5))
    # The loop may round a timer down to its clock's resolution.
    assert clock.monotonic_us() >= before_us + 5 * MS - 100


async def test_loop_alarm_when_the_wall_clock_is_set_back_waits_for_it_to_come_again() -> None:
    clock = SystemClock()
    shift_us = 0
    alarm = LoopAlarm(lambda: clock.now_us() + shift_us)
    alarm.set(clock.now_us() + 2 * MS)
    shift_us = -HOUR
    assert await is_silent(Subject(clock=clock, alarm=clock.alarm, pass_us=wait_us), alarm)
    alarm.close()
