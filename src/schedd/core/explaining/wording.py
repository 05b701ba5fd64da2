"""How explanations speak to people: local times, lengths of time, reasons, facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from schedd.core.model.execution import id_text
from schedd.core.model.journal import DAEMON, Evidence, JournalEntry
from schedd.core.model.reason import Reason
from schedd.core.reason_sentences import SENTENCES
from schedd.core.triggers.civil import utc_datetime
from schedd.core.triggers.zonename import zone_named

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SECOND_US: Final = 1_000_000


class Wording:
    """Speaks in one zone's local time."""

    def __init__(self, time_zone: str) -> None:
        self._zone = zone_named(time_zone)

    def at(self, t_us: int) -> str:
        """`Fri 2026-01-02 09:00:00+0100`; fractions of a second only where there are some."""
        offset_us = self._zone.offset_at(t_us)
        local = utc_datetime(t_us + offset_us)
        fraction = f".{local.microsecond:06d}".rstrip("0") if local.microsecond else ""
        sign, minutes = "-" if offset_us < 0 else "+", abs(offset_us) // 60_000_000
        return f"{local:%a %Y-%m-%d %H:%M:%S}{fraction}{sign}{minutes // 60:02d}{minutes % 60:02d}"

    def on(self, t_us: int) -> str:
        """The same of a moment in which something was done: to the second."""
        return self.at(t_us - t_us % _SECOND_US)

    def facts(self, evidence: Evidence) -> str:
        """What the evidence of a decision adds to its reason, in parentheses after a blank; empty if it adds nothing."""
        told = list(self._told(evidence))
        return f" ({'; '.join(told)})" if told else ""

    def change(self, entry: JournalEntry) -> str:
        """When something was done to a schedule, by whom, and what was said about it: ` at … by ann ("holidays")`."""
        detail = entry.evidence.get("detail")
        return f"{self.when_by(entry)}" + (f" ({detail})" if detail else "")

    def when_by(self, entry: JournalEntry) -> str:
        """`at … by ann`, `at … by schedd itself`."""
        return f"at {self.on(entry.time_us)} by {actor(entry.actor)}"

    def _told(self, evidence: Evidence) -> Iterator[str]:
        if "blocking_execution" in evidence:
            yield f"execution {id_text(int(evidence['blocking_execution']))}"
        if "limited_by" in evidence:
            kind = str(evidence["limited_by"])
            name = f" {evidence[kind]}" if kind in evidence else ""
            yield f"{kind.lower()}{name}: {evidence['running']} of {evidence['limit']} were running"
        if "probe_us" in evidence:
            yield f"{evidence['host']}; its next probe was due at {self.on(int(evidence['probe_us']))}"
        if "message" in evidence or "code" in evidence:
            yield str(evidence.get("message") or f"code {evidence['code']}")
        if "detail" in evidence:
            yield str(evidence["detail"])


_OF_SEVERAL: Final = {
    Reason.MISFIRE: "they were met later than the grace time allows, and the catch-up mode is NONE",
    Reason.CATCH_UP_WINDOW: "they were met too late, and were older than the catch-up window",
    Reason.CATCH_UP_SUPERSEDED: "they were met too late, and catch-up ran another occurrence in their stead",
    Reason.CATCH_UP_MAX_RUNS: "they were met too late, and catch-up had run as many as it may",
    Reason.EXCLUDED: "an exclusion or a calendar left them out",
    Reason.CALENDAR_SHIFTED: "a calendar moved them to other days",
    Reason.DST_FOLD: "their local times came twice that day, and they run at the first only",
}
"""The reasons that ranges have, where they say something else of several occurrences."""


def clause(reason: Reason, count: int = 1) -> str:
    """A reason's sentence as the end of another one, of so many occurrences: in small letters, without its full stop."""
    if count != 1 and reason in _OF_SEVERAL:
        return _OF_SEVERAL[reason]
    text = SENTENCES[reason].removesuffix(".")
    return text[0].lower() + text[1:]


def actor(name: str) -> str:
    """Whoever did something."""
    return "schedd itself" if name == DAEMON else name or "nobody known"


def span(length_us: int) -> str:
    """A length of time with its two largest units: `3 min 20 s`, `2 d 4 h`, `340 ms`."""
    if length_us < _SECOND_US:
        return f"{length_us // 1000} ms"
    rest_s = timedelta(microseconds=length_us) // timedelta(seconds=1)
    parts: list[str] = []
    for size_s, unit in _UNITS:
        count, rest_s = divmod(rest_s, size_s)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def told_of(count: int, verb: str, *, counted: bool = True) -> str:
    """What became of one occurrence or of several: `Skipped`, `12 occurrences skipped`, `More than 1000 occurrences skipped`."""
    if count == 1:
        return verb[0].upper() + verb[1:]
    return f"{'' if counted else 'More than '}{count} occurrences {verb}"


def shown(evidence: Evidence) -> Evidence:
    """Evidence with executions as people name them."""
    if "blocking_execution" not in evidence:
        return evidence
    return {**evidence, "blocking_execution": id_text(int(evidence["blocking_execution"]))}
