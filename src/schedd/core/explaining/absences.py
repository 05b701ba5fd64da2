"""When the daemon was not there to fire: it was down, the host was suspended, or its clock was set past those times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schedd.core.explaining.record import Record
from schedd.core.explaining.wording import Wording, span
from schedd.core.model.journal import JournalEntry, JournalKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A stretch of wall time, and in words why nothing fired in it. `entries` prove it."""

    from_us: int
    until_us: int
    words: str
    entries: tuple[JournalEntry, ...]


class Absences:
    """All that the journal tells of."""

    def __init__(self, record: Record, wording: Wording) -> None:
        self._wording = wording
        self._absences: Sequence[Absence] = [*self._downtimes(record), *self._leaps(record)]

    def between(self, nominal_us: int, decided_us: int) -> Absence | None:
        """The absence that an occurrence fell into, which was decided at `decided_us`; the first of several."""
        fitting = (each for each in self._absences if each.from_us <= nominal_us <= each.until_us and each.until_us <= decided_us)
        return min(fitting, key=lambda each: each.from_us, default=None)

    def _downtimes(self, record: Record) -> Iterator[Absence]:
        stopped: JournalEntry | None = None
        on = self._wording.on
        for entry in record.daemon:
            if entry.kind is JournalKind.DAEMON_STOPPED:
                stopped = entry
            elif entry.kind is JournalKind.DAEMON_STARTED:
                if stopped is not None:
                    words = f"the daemon was stopped from {on(stopped.time_us)} to {on(entry.time_us)}"
                    yield Absence(from_us=stopped.time_us, until_us=entry.time_us, words=words, entries=(stopped, entry))
                elif entry.sequence in record.signs:
                    sign_us = record.signs[entry.sequence]
                    words = f"the daemon ended unforeseen after {on(sign_us)}, its last sign of life, and started at {on(entry.time_us)}"
                    yield Absence(from_us=sign_us, until_us=entry.time_us, words=words, entries=(entry,))
                stopped = None

    def _leaps(self, record: Record) -> Iterator[Absence]:
        """Where the wall clock went on by more than what the daemon lived through."""
        for entry in record.daemon:
            if entry.kind not in (JournalKind.CLOCK_STEPPED, JournalKind.HOST_SUSPENDED):
                continue
            leap_us = int(entry.evidence.get("step_us", entry.evidence.get("suspended_us", 0)))
            if leap_us <= 0:
                continue
            on = self._wording.on(entry.time_us)
            suspended = entry.kind is JournalKind.HOST_SUSPENDED
            words = (
                f"the host was suspended for {span(leap_us)} until {on}"
                if suspended
                else (f"the host's clock went forward by {span(leap_us)} at {on}: it was set, or the host slept")
            )
            yield Absence(from_us=entry.time_us - leap_us, until_us=entry.time_us, words=words, entries=(entry,))
