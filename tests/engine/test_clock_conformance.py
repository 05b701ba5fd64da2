"""The host's clock with each of its alarms, and the clock that the engine's tests move, keep the ports' contract."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop

from schedd.engine.clock import LoopAlarm, SystemClock, TimerfdAlarm
from tests.conformance.clock import HOUR, MS, ClockSuite, Subject, gone_off
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
        return Subject(clock=clock, alarm=lambda: LoopAlarm(clock.now_us, clock.monotonic_us), pass_us=wait_us)


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

    async def test_boot_clock_goes_on_during_a_suspend_and_the_monotonic_one_stands_still(self) -> None:
        clock = HandClock()
        clock.suspend(HOUR)
        assert (clock.monotonic_us(), clock.boot_us()) == (0, HOUR)


async def test_system_clock_sleep_lets_that_much_monotonic_time_pass() -> None:
    clock = SystemClock()
    before_us = clock.monotonic_us()
    await clock.sleep(timedelta(milliseconds=5))
    # The loop may round a timer down to its clock's resolution.
    assert clock.monotonic_us() >= before_us + 5 * MS - 100


@pytest.mark.parametrize("step_us", [-HOUR, -501 * MS])
async def test_loop_alarm_when_the_wall_clock_is_set_back_goes_off_at_its_next_look(step_us: int) -> None:
    clock = SystemClock()
    shift_us = 0
    alarm = LoopAlarm(lambda: clock.now_us() + shift_us, clock.monotonic_us)
    due_us = clock.now_us() + 2 * MS
    alarm.set(due_us)
    shift_us = step_us
    await gone_off(alarm)
    assert clock.now_us() + shift_us < due_us
    alarm.close()


async def test_loop_alarm_when_the_wall_clock_is_set_back_a_little_waits_for_its_time() -> None:
    clock = SystemClock()
    shift_us = 0
    alarm = LoopAlarm(lambda: clock.now_us() + shift_us, clock.monotonic_us)
    due_us = clock.now_us() + 2 * MS
    alarm.set(due_us)
    shift_us = -30 * MS
    await gone_off(alarm)
    assert clock.now_us() + shift_us >= due_us
    alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
class TestTimerfdAndTheSettingOfTheClock:
    async def test_alarm_is_set_so_that_the_kernel_cancels_it_when_the_clock_is_set(self) -> None:
        alarm = TimerfdAlarm()
        alarm.set(SystemClock().now_us() + HOUR)
        told = [_timerfd_settings(fd) for fd in Path("/proc/self/fd").iterdir()]
        assert ["0", "03"] in told  # CLOCK_REALTIME; TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET.
        alarm.close()

    async def test_cancelled_timer_counts_as_gone_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        alarm = TimerfdAlarm()

        def cancelled(fd: int, size: int) -> bytes:
            raise OSError(errno.ECANCELED, "the clock was set")

        alarm.set(SystemClock().now_us())
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", cancelled)
            await gone_off(alarm)
        alarm.close()

    @pytest.mark.parametrize("due_in_us", [HOUR, None])
    async def test_alarm_goes_off_when_the_clock_is_set(self, due_in_us: int | None) -> None:
        alarm = TimerfdAlarm()
        alarm.set(None if due_in_us is None else SystemClock().now_us() + due_in_us)
        if not _set_clock_by_a_nanosecond():
            alarm.close()
            pytest.skip("the clock can be set by those with CAP_SYS_TIME only")
        await gone_off(alarm)
        alarm.close()


def _timerfd_settings(fd: Path) -> list[str]:
    """The clock and the flags of a timerfd, of any other descriptor nothing."""
    try:
        lines = Path("/proc/self/fdinfo", fd.name).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line.split(": ")[1] for line in lines if line.startswith(("clockid:", "settime flags:"))]


def _set_clock_by_a_nanosecond() -> bool:
    """Set the wall clock ahead by 1 ns, which is all that the kernel needs to tell its timers; whether that was allowed."""
    add_nanoseconds = 0x0100 | 0x2000  # ADJ_SETOFFSET, ADJ_NANO
    timex = (ctypes.c_long * 32)()
    timex[0] = add_nanoseconds
    timex[10] = 1  # After modes, offset, freq, maxerror, esterror, status, constant, precision, tolerance and the seconds.
    return bool(ctypes.CDLL(None).adjtimex(timex) >= 0)
