"""The virtual host's clock: wall time and monotonic time of a virtual loop, with a wall clock that can be set and a host that can sleep."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from schedd.core.ports import Alarm
from schedd.simulation.loop import VirtualLoop


class VirtualClock:
    """Time as a daemon on the loop's host sees it. `start_us` is the wall clock when the loop's time is 0."""

    def __init__(self, loop: VirtualLoop, start_us: int) -> None:
        self._loop = loop
        self._offset_us = start_us
        self._asleep_us = 0
        self._alarms: list[VirtualAlarm] = []

    def now_us(self) -> int:
        """The wall clock in microseconds since the epoch."""
        return self._offset_us + self._loop.now_us

    def monotonic_us(self) -> int:
        """Microseconds since the loop was made."""
        return self._loop.now_us

    def boot_us(self) -> int:
        """The same with the time for which the host was suspended."""
        return self._loop.now_us + self._asleep_us

    def alarm(self) -> Alarm:
        """An alarm on the wall clock."""
        alarm = VirtualAlarm(self, self._loop)
        self._alarms.append(alarm)
        return alarm

    async def sleep(self, duration: timedelta) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(duration.total_seconds())

    def step(self, by_us: int) -> None:
        """Set the wall clock, as an administrator or a time server does; that wakes who waits for an alarm, as it does with a timerfd."""
        self._move(by_us)
        for alarm in self._alarms:
            alarm.ring()

    def suspend(self, for_us: int) -> None:
        """Let the host sleep: the wall clock goes on, the monotonic one does not, and what has come due meanwhile is due now."""
        self._asleep_us += for_us
        self._move(for_us)

    def _move(self, by_us: int) -> None:
        self._offset_us += by_us
        for alarm in self._alarms:
            alarm.look()

    def forget(self, alarm: VirtualAlarm) -> None:
        """The alarm was closed."""
        if alarm in self._alarms:
            self._alarms.remove(alarm)


class VirtualAlarm:
    """An alarm on a virtual clock."""

    def __init__(self, clock: VirtualClock, loop: VirtualLoop) -> None:
        self._clock = clock
        self._loop = loop
        self._bell = asyncio.Event()
        self._due_us: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_us: int | None) -> None:
        """Go off when the wall clock reaches `due_us`; None: only when rung."""
        self._due_us = due_us
        self.look()

    def ring(self) -> None:
        """Go off now."""
        self._bell.set()

    async def wait(self) -> None:
        """Return once it has gone off since the last return."""
        await self._bell.wait()
        self._bell.clear()

    def close(self) -> None:
        """Stop the timer."""
        self.set(None)
        self._clock.forget(self)

    def look(self) -> None:
        """Go off if the time has come, else wait for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due_us is None:
            return
        wait_us = self._due_us - self._clock.now_us()
        if wait_us <= 0:
            self._due_us = None
            self.ring()
        else:
            self._timer = self._loop.call_at((self._loop.now_us + wait_us) / 1e6, self.look)
