"""What every implementation of the ports `schedd.core.ports.Clock` and `Alarm` has to keep.

A test module subclasses `ClockSuite` and gives it a fixture `subject`. Time passes here: a few milliseconds of a real clock, or as much
of one that the test moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from schedd.core.ports import Alarm, Clock

MS = 1000
HOUR = 3_600_000 * MS
HALF_A_SECOND = 500 * MS
"""Between two readings the process may have to wait, but not for so long."""
BOUND_S = 20
"""No wait of this suite is to take longer; one that does fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One implementation under test. `pass_us` lets at least so many microseconds pass, and what they set off happen."""

    clock: Clock
    alarm: Callable[[], Alarm]
    pass_us: Callable[[int], Awaitable[None]]


async def gone_off(alarm: Alarm) -> None:
    """Return once the alarm has gone off."""
    await asyncio.wait_for(alarm.wait(), BOUND_S)


async def is_silent(subject: Subject, alarm: Alarm, for_us: int = 20 * MS) -> bool:
    """Whether the alarm does not go off in that time."""
    waiting = asyncio.get_running_loop().create_task(alarm.wait())
    await subject.pass_us(for_us)
    silent = not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return silent


class ClockSuite:
    """The suite."""

    async def test_clocks_go_forward_together(self, subject: Subject) -> None:
        wall_us, monotonic_us = subject.clock.now_us(), subject.clock.monotonic_us()
        await subject.pass_us(3 * MS)
        assert subject.clock.now_us() >= wall_us + 3 * MS
        assert subject.clock.monotonic_us() >= monotonic_us + 3 * MS

    async def test_boot_clock_goes_with_the_monotonic_one_while_the_host_is_awake(self, subject: Subject) -> None:
        before_us = subject.clock.boot_us() - subject.clock.monotonic_us()
        await subject.pass_us(3 * MS)
        reads_us = subject.clock.monotonic_us(), subject.clock.boot_us(), subject.clock.monotonic_us()
        assert reads_us[0] <= reads_us[1] - before_us + HALF_A_SECOND
        assert reads_us[1] - before_us <= reads_us[2] + HALF_A_SECOND

    async def test_wall_clock_counts_microseconds_since_1970(self, subject: Subject) -> None:
        assert 1_700_000_000_000_000 < subject.clock.now_us() < 32_503_680_000_000_000

    async def test_alarm_goes_off_when_it_is_due_and_never_earlier(self, subject: Subject) -> None:
        alarm = subject.alarm()
        for wait_us in (1, 999, 1 * MS, 3 * MS + 1, 7 * MS):
            due_us = subject.clock.now_us() + wait_us
            alarm.set(due_us)
            passing = asyncio.get_running_loop().create_task(_pass(subject, wait_us))
            await gone_off(alarm)
            assert subject.clock.now_us() >= due_us
            await passing
        alarm.close()

    async def test_alarm_set_to_the_past_goes_off_at_once(self, subject: Subject) -> None:
        alarm = subject.alarm()
        for due_us in (subject.clock.now_us(), subject.clock.now_us() - HOUR, 1, 0, -5):
            alarm.set(due_us)
            await gone_off(alarm)
        alarm.close()

    async def test_alarm_that_went_off_before_the_wait_is_not_lost(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.set(subject.clock.now_us() + 1 * MS)
        await subject.pass_us(3 * MS)
        await gone_off(alarm)
        alarm.close()

    async def test_ring_before_the_wait_is_kept(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.ring()
        await gone_off(alarm)
        alarm.close()

    async def test_ring_wakes_the_waiter(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.set(subject.clock.now_us() + HOUR)
        async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
            waiting = group.create_task(alarm.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            alarm.ring()
        alarm.close()

    async def test_rings_are_used_up_by_one_wait(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.ring()
        alarm.ring()
        await gone_off(alarm)
        assert await is_silent(subject, alarm)
        alarm.close()

    async def test_alarm_goes_off_once_for_one_setting(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.set(subject.clock.now_us())
        await gone_off(alarm)
        assert await is_silent(subject, alarm)
        alarm.close()

    async def test_ring_leaves_the_setting_as_it_is(self, subject: Subject) -> None:
        alarm = subject.alarm()
        due_us = subject.clock.now_us() + 100 * MS
        alarm.set(due_us)
        alarm.ring()
        await gone_off(alarm)
        await subject.pass_us(100 * MS)
        await gone_off(alarm)
        assert subject.clock.now_us() >= due_us
        alarm.close()

    async def test_alarm_never_set_or_set_to_none_is_silent(self, subject: Subject) -> None:
        alarm = subject.alarm()
        assert await is_silent(subject, alarm, 3 * MS)
        alarm.set(subject.clock.now_us() + 5 * MS)
        alarm.set(None)
        alarm.set(None)
        assert await is_silent(subject, alarm)
        alarm.close()

    async def test_alarm_set_again_to_later_forgets_the_earlier(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.set(subject.clock.now_us() + 5 * MS)
        alarm.set(subject.clock.now_us() + HOUR // 2)
        assert await is_silent(subject, alarm)
        alarm.close()

    async def test_alarm_set_again_to_sooner_goes_off_then(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.set(subject.clock.now_us() + HOUR)
        due_us = subject.clock.now_us() + 2 * MS
        alarm.set(due_us)
        await subject.pass_us(2 * MS)
        await gone_off(alarm)
        assert due_us <= subject.clock.now_us() < due_us + HOUR // 2
        alarm.close()

    async def test_alarms_do_not_wake_each_other(self, subject: Subject) -> None:
        one, other = subject.alarm(), subject.alarm()
        one.set(subject.clock.now_us())
        await gone_off(one)
        assert await is_silent(subject, other, 3 * MS)
        one.close()
        other.set(subject.clock.now_us())
        await gone_off(other)
        other.close()

    async def test_closed_alarm_is_silent_and_closing_again_is_harmless(self, subject: Subject) -> None:
        alarm = subject.alarm()
        alarm.set(subject.clock.now_us() + 5 * MS)
        alarm.close()
        alarm.close()
        assert await is_silent(subject, alarm)


async def _pass(subject: Subject, wait_us: int) -> None:
    await subject.pass_us(wait_us)
