"""The clock watch: notices that the wall clock was stepped, or that the host was suspended, and writes it to the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from schedd.core.clockjumps import Bearings, Jump, JumpKind, look
from schedd.core.model.journal import NO_EVIDENCE, Evidence, JournalEntry, JournalKind
from schedd.core.model.reason import Reason
from schedd.core.ports import Clock
from schedd.engine.recorder import Recorder

_LOOK_EVERY_US = 10_000_000
_KINDS = {JumpKind.STEP: (JournalKind.CLOCK_STEPPED, Reason.CLOCK_STEP), JumpKind.SUSPEND: (JournalKind.HOST_SUSPENDED, Reason.SUSPEND)}
_FACTS = {JumpKind.STEP: "step_us", JumpKind.SUSPEND: "suspended_us"}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps since the planner last followed come to: their sum, and by how much they set the clock back.

    `is_back`: there may be marks in the future. `entries` are to be journaled when those are set back. `rows` are of schedules whose
    changes were committed while the clock was set back, and go by the clock of before.
    """

    by_us: int = 0
    back_us: int = 0
    is_back: bool = False
    entries: tuple[JournalEntry, ...] = ()
    rows: frozenset[int] = frozenset()


NO_STEPS = Steps()
"""This very value: nothing has happened, not even a suspend."""


class ClockWatch:
    """Compares the wall clock with those that never step, at each wake of an agent that goes by it.

    A step wakes them at once where the host's alarms can tell; else one looks every ten seconds. Whoever looks first has everybody told
    before it goes on: the dispatcher right away, the planner at its next round.
    """

    def __init__(self, clock: Clock, recorder: Recorder) -> None:
        self._clock = clock
        self._recorder = recorder
        self._alarm = clock.alarm()
        self._bearings = Bearings.of(wall_us=clock.now_us(), monotonic_us=clock.monotonic_us(), boot_us=clock.boot_us())
        self._jumped: Callable[[Jump, int], None] | None = None
        self._wake_planner: Callable[[], None] | None = None
        self._steps = NO_STEPS
        self._latest: tuple[Jump, ...] = ()

    def connect(self, jumped: Callable[[Jump, int], None], wake_planner: Callable[[], None]) -> None:
        """Set who is told of a jump, with the time that it is now, and who plans anew."""
        self._jumped = jumped
        self._wake_planner = wake_planner

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                now_us = self._clock.now_us()
                self.run_once(now_us)
                self._alarm.set(now_us + _LOOK_EVERY_US)
                await self._alarm.wait()
        finally:
            self._alarm.close()

    def run_once(self, now_us: int) -> tuple[Jump, ...]:
        """The jumps since the last look, at the time `now_us`; they are journaled, and what waits in memory has followed them."""
        monotonic_us, boot_us = self._clock.monotonic_us(), self._clock.boot_us()
        if self._bearings.agree(now_us, monotonic_us, boot_us):
            return ()
        now = Bearings.of(wall_us=now_us, monotonic_us=monotonic_us, boot_us=boot_us)
        jumps, self._bearings = look(self._bearings, now, now_us)
        for jump in jumps:
            self._follow(jump, now_us)
        return jumps

    def take_steps(self) -> Steps:
        """The steps since this was last asked."""
        steps, self._steps = self._steps, NO_STEPS
        return steps

    def is_ahead(self, row: int) -> None:
        """A change of this schedule was committed just now that goes by the time before a step back."""
        self._steps = replace(self._steps, is_back=True, rows=self._steps.rows | {row})
        assert self._wake_planner is not None, "connect() comes first"
        self._wake_planner()

    def evidence(self, first_us: int, last_us: int) -> Evidence:
        """What made the occurrences from `first_us` to `last_us` late, as far as it was a jump of the clock."""
        found = [jump for jump in self._latest if jump.passed_over(first_us, last_us)]
        return {_FACTS[jump.kind]: jump.by_us for jump in found} if found else NO_EVIDENCE

    def _follow(self, jump: Jump, now_us: int) -> None:
        assert self._jumped is not None, "connect() comes first"
        assert self._wake_planner is not None, "connect() comes first"
        entry = jump_entry(jump, now_us)
        steps = self._steps
        if jump.is_back:
            self._steps = Steps(
                by_us=steps.by_us + jump.by_us,
                back_us=steps.back_us - jump.by_us,
                is_back=True,
                entries=(*steps.entries, entry),
                rows=steps.rows,
            )
        else:
            self._recorder.note(entry)
            self._steps = replace(steps, by_us=steps.by_us + (jump.by_us if jump.kind is JumpKind.STEP else 0))
        # After a step back the instants of earlier jumps come again, and are late for other reasons.
        self._latest = () if jump.is_back else (*[earlier for earlier in self._latest if earlier.to_us == jump.to_us], jump)
        self._jumped(jump, now_us)
        self._wake_planner()


def jump_entry(jump: Jump, now_us: int, facts: Evidence = NO_EVIDENCE) -> JournalEntry:
    """The journal's row for a jump."""
    kind, reason = _KINDS[jump.kind]
    log.warning(kind.lower(), by_s=jump.by_us / 1e6)
    return JournalEntry(time_us=now_us, kind=kind, reason=reason, evidence={_FACTS[jump.kind]: jump.by_us, **facts})


def is_step_back(entry: JournalEntry) -> bool:
    """Whether the entry says that the clock was set back, and that what is stored has followed it."""
    step_us = entry.evidence.get(_FACTS[JumpKind.STEP])
    return entry.kind is JournalKind.CLOCK_STEPPED and isinstance(step_us, int) and step_us < 0
