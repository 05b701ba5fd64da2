"""The host's clock and its alarms: timerfd on CLOCK_REALTIME where there is one, so nothing is early and a clock step wakes the waiter."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from schedd.core.clockjumps import TOLERANCE_US
from schedd.core.ports import Alarm

_CLOCK_REALTIME: Final = 0
_TFD_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | 0o2000000
_TFD_ABSTIME_CANCEL_ON_SET: Final = 1 | 2
_LOOK_EVERY_S: Final = 10.0
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Elsewhere than on Linux CLOCK_MONOTONIC is the one that may go on during a suspend, which `time.monotonic` need not: macOS has both."""


class SystemClock:
    """The host's time. Alarms belong to the running event loop."""

    def now_us(self) -> int:
        """The wall clock in microseconds since the epoch."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """CLOCK_MONOTONIC in microseconds; it stands still while the host is suspended."""
        return time.monotonic_ns() // 1000

    def boot_us(self) -> int:
        """CLOCK_BOOTTIME in microseconds; it goes on while the host is suspended."""
        return time.clock_gettime_ns(_BOOT_CLOCK) // 1000

    def alarm(self) -> Alarm:
        """A timerfd alarm, or one on the loop's own timer where the host has no timerfd."""
        return TimerfdAlarm() if sys.platform == "linux" else LoopAlarm(self.now_us, self.monotonic_us)

    async def sleep(self, duration: timedelta) -> None:
        """Sleep on the loop's monotonic timer."""
        await asyncio.sleep(duration.total_seconds())


class _Bell:
    """Wakes one waiter; a ring that comes before the wait is kept."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()


class TimerfdAlarm(_Bell):
    """An alarm on a timerfd of its own. Stepping the clock cancels the timer, which counts as going off."""

    def __init__(self) -> None:
        super().__init__()
        self._fd = _libc_call(_libc.timerfd_create, _CLOCK_REALTIME, _TFD_NONBLOCK_CLOEXEC)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._gone_off)

    def set(self, due_us: int | None) -> None:
        """Arm the timer; a time that has passed goes off at once."""
        seconds, micros = divmod(max(due_us, 1), 1_000_000) if due_us is not None else (0, 0)
        setting = _Itimerspec(0, 0, seconds, micros * 1000)
        _libc_call(_libc.timerfd_settime, self._fd, _TFD_ABSTIME_CANCEL_ON_SET, ctypes.byref(setting), None)

    def close(self) -> None:
        """Close the timer."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _gone_off(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self.ring()


class LoopAlarm(_Bell):
    """An alarm on the loop's timer, for hosts without timerfd: looks at the wall clock at least every ten seconds.

    It never rings early, unless the wall clock has jumped.
    """

    def __init__(self, now_us: Callable[[], int], monotonic_us: Callable[[], int]) -> None:
        super().__init__()
        self._now_us = now_us
        self._monotonic_us = monotonic_us
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_us: int | None) -> None:
        """Arm the timer; a time that has passed goes off at once."""
        self.close()
        if due_us is not None:
            self._look(due_us, self._now_us() - self._monotonic_us())

    def _look(self, due_us: int, offset_us: int) -> None:
        now_us = self._now_us()
        wait_s = (due_us - now_us) / 1e6
        if wait_s <= 0 or abs(now_us - self._monotonic_us() - offset_us) > TOLERANCE_US:
            self._handle = None
            self.ring()
        else:
            self._handle = self._loop.call_later(min(wait_s, _LOOK_EVERY_S), self._look, due_us, offset_us)

    def close(self) -> None:
        """Stop the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _libc_call(function: Callable[..., int], *arguments: object) -> int:
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
