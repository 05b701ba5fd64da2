"""The clock watch: notices that the wall clock was stepped, or that the host was suspended, and writes it to the journal."""

from __future__ import annotations

from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.ports import Clock
from schedd.engine.planner import Planner
from schedd.engine.recorder import Recorder

_LOOK_EVERY_US = 10_000_000
_TOLERANCE_US = 500_000


class ClockWatch:
    """Compares wall time with monotonic time. A step wakes it at once, where the host's alarms can tell; else it looks every ten seconds.

    After a suspend the wall clock is ahead of the monotonic one, as after a step forward; both wake the planner, which finds what was due.
    """

    def __init__(self, clock: Clock, planner: Planner, recorder: Recorder) -> None:
        self._clock = clock
        self._planner = planner
        self._recorder = recorder
        self._alarm = clock.alarm()
        self._offset_us = clock.now_us() - clock.monotonic_us()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                self._alarm.set(self._clock.now_us() + _LOOK_EVERY_US)
                await self._alarm.wait()
                self.run_once(self._clock.now_us())
        finally:
            self._alarm.close()

    def run_once(self, now_us: int) -> int:
        """How far the wall clock has moved against the monotonic one since the last look, in microseconds; 0 within half a second."""
        offset_us = now_us - self._clock.monotonic_us()
        moved_us = offset_us - self._offset_us
        if abs(moved_us) <= _TOLERANCE_US:
            return 0
        self._offset_us = offset_us
        self._recorder.note(JournalEntry(time_us=now_us, kind=JournalKind.CLOCK_STEPPED, evidence={"step_us": moved_us}))
        self._planner.wake()
        return moved_us
