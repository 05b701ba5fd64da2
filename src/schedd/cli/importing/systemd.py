"""systemd's timers into schedules. Source: systemd.timer(5).

A calendar timer keeps its expressions as they are. Of the monotonic ones, those that count from a boot become a run at the daemon's
start, OnUnitInactiveSec= a delay after completion, OnUnitActiveSec= an interval. What schedd has no words for stands in the notes of the
schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from schedd.cli.importing.carried import Carried, Imported, Names, Refused
from schedd.cli.importing.service import ServiceReader
from schedd.cli.importing.units import Setting, Unit, UnitError, UnitFiles
from schedd.cli.importing.unitvalues import expanded, span_of, specifiers_of
from schedd.cli.spans import duration_text
from schedd.core.errors import ExpressionError
from schedd.core.model.when import OnCalendar, When
from schedd.core.triggers import compile_when

_TIMER = "Timer"
_AT_BOOT = ("OnBootSec", "OnStartupSec", "OnActiveSec")
_REPEATING = ("OnUnitActiveSec", "OnUnitInactiveSec")
_TIMES = (*_AT_BOOT, *_REPEATING, "OnCalendar")
_WIDEST_SPREAD = timedelta(hours=24)
_LONGEST_WINDOW = "365d"

DEFAULTS: dict[str, Any] = {
    "labels": {"imported-from": "systemd"},
    "overlap": "SKIP",
    "catch_up": "NONE",
    "retry": {"max_attempts": 1},
}
"""What a timer does: a service that still runs is not started again, nothing is caught up on without Persistent=, one try."""


def read_timers(units: Sequence[str], files: UnitFiles, time_zone: str, *, user: bool) -> Imported:
    """The schedules of these timers: names of units, or paths of .timer files. `user` for the units of a user's own manager."""
    names = Names()
    found = [_timer(unit, files, names, user=user) for unit in units]
    return Imported(
        sources=tuple(units),
        defaults={"time_zone": time_zone, **DEFAULTS},
        carried=tuple(item for item in found if isinstance(item, Carried)),
        refused=tuple(item for item in found if isinstance(item, Refused)),
    )


def _timer(unit: str, files: UnitFiles, names: Names, *, user: bool) -> Carried | Refused:
    path = Path(unit)
    name = path.name if path.suffix == ".timer" else f"{path.name}.timer"
    try:
        if "/" in unit:
            files = files.beside(path)
        timer = files.load(name)
        return _TimerReader(timer=timer, files=files, user=user).read(names)
    except UnitError as error:
        return Refused(where=unit, text=name, reason=str(error))


@dataclass(slots=True)
class _TimerReader:
    """Reads one timer and the service that it starts."""

    timer: Unit
    files: UnitFiles
    user: bool
    notes: list[str] = field(default_factory=list)

    def read(self, names: Names) -> Carried:
        times = self._times()
        service = self._service()
        reader = ServiceReader(service, specifiers_of(service, user=self.user), self.user)
        keys = reader.keys()
        document: dict[str, Any] = {"name": names.name(self.timer.name.removesuffix(".timer").replace("@", "-"))}
        if "description" in keys:
            document["description"] = keys.pop("description")
        document["triggers"] = self._triggers(times)
        document |= self._spread() | self._catch_up(times) | keys
        self._note_the_rest()
        text = f"{self.timer.name}: {', '.join(f'{item.key}={item.value}' for item in times)}"
        return Carried(where=str(times[0].place), text=text, document=document, notes=(*self.notes, *reader.notes))

    def _service(self) -> Unit:
        name = expanded(self.timer.last(_TIMER, "Unit"), specifiers_of(self.timer, user=self.user))
        name = name or self.timer.name.removesuffix(".timer") + ".service"
        if not name.endswith(".service"):
            raise UnitError(f"it starts {name}, which is no service")
        return self.files.load(name)

    def _times(self) -> list[Setting]:
        times: list[Setting] = []
        for item in self.timer.settings:
            if item.section == _TIMER and item.key in _TIMES:
                times = [*times, item] if item.value else []
        if not times:
            raise UnitError("it has no time at all")
        return times

    def _triggers(self, times: list[Setting]) -> list[dict[str, Any]]:
        triggers: list[dict[str, Any]] = []
        for item in times:
            trigger = self._trigger(item)
            if trigger not in triggers:
                triggers.append(trigger)
        return triggers

    def _trigger(self, item: Setting) -> dict[str, Any]:
        if item.key == "OnCalendar":
            _must_be_taken(item.value)
            return {"on_calendar": item.value}
        span = span_of(item.value)
        if span is None or (not span and item.key in _REPEATING):
            raise UnitError(f"{item.key}={item.value} is no period")
        if item.key in _AT_BOOT:
            later = f", and not {item.value} later" if span else ""
            self._note(item, f"schedd runs it at each start of the daemon, also where that is a mere restart{later}")
            return {"at_start": True}
        if item.key == "OnUnitInactiveSec":
            self._note(item, "schedd counts from the creation of the schedule, then from the end of each run, over restarts and boots too")
            return {"after_completion": duration_text(span)}
        self._note(
            item,
            "it counts from the start of the run before, and anew at each boot; the interval counts from the creation of the schedule, "
            "without drift",
        )
        return {"every": duration_text(span)}

    def _note(self, item: Setting, text: str) -> None:
        self.notes.append(f"{item.key}={item.value}: {text}")

    def _spread(self) -> dict[str, Any]:
        written = self.timer.last(_TIMER, "RandomizedDelaySec")
        window = span_of(written) if written else timedelta(0)
        if window == timedelta(0):
            return {}
        if window is None or window > _WIDEST_SPREAD:
            self.notes.append(f"RandomizedDelaySec={written}: a spread is 24 hours at most")
            window = _WIDEST_SPREAD
        mode = "STABLE" if self.timer.flag(_TIMER, "FixedRandomDelay") else "RANDOM"
        return {"spread": {"mode": mode, "window": duration_text(window)}}

    def _catch_up(self, times: list[Setting]) -> dict[str, Any]:
        if any(item.key == "OnCalendar" for item in times) and self.timer.flag(_TIMER, "Persistent"):
            return {"catch_up": {"mode": "LATEST", "window": _LONGEST_WINDOW}}
        return {}

    def _note_the_rest(self) -> None:
        accuracy = self.timer.last(_TIMER, "AccuracySec")
        if accuracy:
            self.notes.append(f"AccuracySec={accuracy}: schedd fires at the time itself")
        rest = [key for key in ("WakeSystem", "OnClockChange", "OnTimezoneChange") if self.timer.flag(_TIMER, key)]
        if rest:
            self.notes.append(f"not carried over: {', '.join(rest)}")
        conditions = [
            f"{item.key}={item.value}"
            for item in self.timer.settings
            if item.section == "Unit" and item.key.startswith(("Condition", "Assert"))
        ]
        if conditions:
            self.notes.append(f"the timer's conditions are not looked at: {', '.join(conditions)}")


def _must_be_taken(expression: str) -> None:
    """Raises: UnitError for an expression that schedd refuses."""
    try:
        compile_when(When(triggers=(OnCalendar(text=expression),)), created_us=0, seed=0)
    except ExpressionError as error:
        suggestion = f"; {error.suggestion}" if error.suggestion else ""
        raise UnitError(f"schedd does not take OnCalendar={expression}: {error.reason}{suggestion}") from error
