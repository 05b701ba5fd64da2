"""Nested values as JSON text and back. Unions carry the name of their kind: `["CRON", {…}]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec

from schedd.core.model.calendar import CalendarEntry, DateEntry, HolidaysEntry, ICalendarEntry, RangeEntry, WeeklyEntry
from schedd.core.model.execution import Origin
from schedd.core.model.journal import Evidence
from schedd.core.model.notice import Notice
from schedd.core.model.policy import (
    AfterLastRun,
    CatchUp,
    CommandHolds,
    Concurrency,
    Condition,
    DayFits,
    Delivery,
    FollowUp,
    Hold,
    Notify,
    Overlap,
    Policies,
    Recovery,
    Retry,
    TriggerSchedule,
)
from schedd.core.model.rendering import RenderedHttp, RenderedProcess, Rendering
from schedd.core.model.schedule import Pause
from schedd.core.model.target import HttpTarget, ProcessTarget, Target
from schedd.core.model.when import (
    AfterCompletion,
    AtStart,
    CalendarShift,
    Cron,
    Expression,
    FoldPolicy,
    GapPolicy,
    Interval,
    OnCalendar,
    Once,
    Recurrence,
    Spread,
    Trigger,
    When,
)

TRIGGER_KINDS: Mapping[str, type[Trigger]] = {
    "EXPRESSION": Expression,
    "CRON": Cron,
    "INTERVAL": Interval,
    "AFTER_COMPLETION": AfterCompletion,
    "ONCE": Once,
    "ON_CALENDAR": OnCalendar,
    "RECURRENCE": Recurrence,
    "AT_START": AtStart,
}
TARGET_KINDS: Mapping[str, type[Target]] = {"HTTP": HttpTarget, "PROCESS": ProcessTarget}
CALENDAR_ENTRY_KINDS: Mapping[str, type[CalendarEntry]] = {
    "DATE": DateEntry,
    "RANGE": RangeEntry,
    "WEEKLY": WeeklyEntry,
    "HOLIDAYS": HolidaysEntry,
    "ICALENDAR": ICalendarEntry,
}
FOLLOW_UP_KINDS: Mapping[str, type[FollowUp]] = {"SCHEDULE": TriggerSchedule, "NOTIFY": Notify}

_KIND_OF: Mapping[type, str] = {
    kind: name for kinds in (TRIGGER_KINDS, TARGET_KINDS, FOLLOW_UP_KINDS, CALENDAR_ENTRY_KINDS) for name, kind in kinds.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredWhen:
    """A `When` whose triggers carry their kinds."""

    triggers: tuple[tuple[str, msgspec.Raw], ...]
    exclusions: tuple[tuple[str, msgspec.Raw], ...]
    exclude_calendars: tuple[str, ...]
    include_calendars: tuple[str, ...]
    time_zone: str
    start_us: int | None
    end_us: int | None
    gap: GapPolicy
    fold: FoldPolicy
    spread: Spread
    calendar_shift: CalendarShift = CalendarShift.SKIP


_CACHED_TEXT_LIMIT = 16 * 1024
_PLAIN_FIELDS = tuple(f.name for f in fields(When) if f.name not in ("triggers", "exclusions"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredPolicies:
    """`Policies` whose unions carry their kinds. What an older schedd stored lacks the later fields, which have their defaults."""

    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp()
    retry: Retry = Retry()
    attempt_timeout: timedelta | None = None
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    priority: int = 5
    after_last_run: AfterLastRun = AfterLastRun.KEEP
    buffer_limit: int = 1000
    concurrency: Concurrency | None = None
    pause_after_failures: int = 0
    max_runs: int = 0
    on_success: tuple[tuple[str, msgspec.Raw], ...] = ()
    on_failure: tuple[tuple[str, msgspec.Raw], ...] = ()
    condition: tuple[str, msgspec.Raw] | None = None
    circuit_open: Hold = Hold.WAIT
    recovery: Recovery = Recovery.ADOPT


_POLICY_UNIONS = ("on_success", "on_failure", "condition")
_PLAIN_POLICIES = tuple(f.name for f in fields(Policies) if f.name not in _POLICY_UNIONS)
_COMMAND = "COMMAND"
_DAYS = "DAYS"


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredDays:
    kind: str
    rule: msgspec.Raw


_encoder = msgspec.json.Encoder()
_when_decoder = msgspec.json.Decoder(_StoredWhen)
_policies_decoder = msgspec.json.Decoder(_StoredPolicies)
_command_decoder = msgspec.json.Decoder(CommandHolds)
_days_decoder = msgspec.json.Decoder(_StoredDays)
_follow_up_decoders = {name: msgspec.json.Decoder(kind) for name, kind in FOLLOW_UP_KINDS.items()}
_concurrency_decoder = msgspec.json.Decoder(Concurrency)
_origin_decoder = msgspec.json.Decoder(Origin)
_notice_decoder = msgspec.json.Decoder(Notice)
_pause_decoder = msgspec.json.Decoder(Pause)
_labels_decoder = msgspec.json.Decoder(dict[str, str])
_evidence_decoder = msgspec.json.Decoder(dict[str, str | int | float | bool])
_counts_decoder = msgspec.json.Decoder(dict[str, int])
_answer_decoder = msgspec.json.Decoder(list[int | str])
_trigger_decoders = {name: msgspec.json.Decoder(kind) for name, kind in TRIGGER_KINDS.items()}
_rendering_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    "HTTP": msgspec.json.Decoder(RenderedHttp),
    "PROCESS": msgspec.json.Decoder(RenderedProcess),
}
_entries_decoder = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])
_entry_decoders = {name: msgspec.json.Decoder(kind) for name, kind in CALENDAR_ENTRY_KINDS.items()}
_target_decoders = {name: msgspec.json.Decoder(kind) for name, kind in TARGET_KINDS.items()}

DecodeError = msgspec.MsgspecError
"""What the decoding functions raise for text that is not what they expect."""


def encode(value: object) -> str:
    """JSON text of a value without unions."""
    return _encoder.encode(value).decode()


def encode_when(when: When) -> str:
    """JSON text of a rule."""
    stored: dict[str, Any] = {name: getattr(when, name) for name in _PLAIN_FIELDS}
    stored["triggers"] = [(_KIND_OF[type(trigger)], trigger) for trigger in when.triggers]
    stored["exclusions"] = [(_KIND_OF[type(trigger)], trigger) for trigger in when.exclusions]
    return encode(stored)


def decode_when(text: str) -> When:
    """The rule that `encode_when` wrote. Schedules often share theirs, so equal texts give one object, unless they are large."""
    return _decode_when_cached(text) if len(text) <= _CACHED_TEXT_LIMIT else _decode_when(text)


def _decode_when(text: str) -> When:
    stored = _when_decoder.decode(text)
    plain = {name: getattr(stored, name) for name in _PLAIN_FIELDS}
    return When(
        triggers=tuple(_trigger(kind, raw) for kind, raw in stored.triggers),
        exclusions=tuple(_trigger(kind, raw) for kind, raw in stored.exclusions),
        **plain,
    )


_decode_when_cached = lru_cache(maxsize=4096)(_decode_when)


def _trigger(kind: str, raw: msgspec.Raw) -> Trigger:
    decoder = _trigger_decoders.get(kind)
    if decoder is None:
        raise msgspec.ValidationError(f"{kind!r} is no kind of trigger")
    return decoder.decode(raw)


def encode_entries(entries: tuple[CalendarEntry, ...]) -> str:
    """JSON text of a calendar's entries."""
    return encode([(_KIND_OF[type(entry)], entry) for entry in entries])


def decode_entries(text: str) -> tuple[CalendarEntry, ...]:
    """The entries that `encode_entries` wrote."""
    return tuple(_entry(kind, raw) for kind, raw in _entries_decoder.decode(text))


def _entry(kind: str, raw: msgspec.Raw) -> CalendarEntry:
    decoder = _entry_decoders.get(kind)
    if decoder is None:
        raise msgspec.ValidationError(f"{kind!r} is no kind of calendar entry")
    return decoder.decode(raw)


def target_kind(target: Target) -> str:
    """The name of a target's kind."""
    return _KIND_OF[type(target)]


def decode_target(kind: str, text: str) -> Target:
    """The target of that kind that `encode` wrote."""
    decoder = _target_decoders.get(kind)
    if decoder is None:
        raise msgspec.ValidationError(f"{kind!r} is no kind of target")
    return decoder.decode(text)


def rendering_kind(rendering: Rendering) -> str:
    """The name of a rendering's kind."""
    return "HTTP" if isinstance(rendering, RenderedHttp) else "PROCESS"


def decode_rendering(kind: str, text: str) -> Rendering:
    """The rendering of that kind that `encode` wrote."""
    decoder = _rendering_decoders.get(kind)
    if decoder is None:
        raise msgspec.ValidationError(f"{kind!r} is no kind of rendering")
    rendering: Rendering = decoder.decode(text)
    return rendering


def encode_policies(policies: Policies) -> str:
    """JSON text of policies; unions that are not used are left out."""
    stored: dict[str, Any] = {name: getattr(policies, name) for name in _PLAIN_POLICIES}
    for name in ("on_success", "on_failure"):
        if follow_ups := getattr(policies, name):
            stored[name] = [(_KIND_OF[type(each)], each) for each in follow_ups]
    match policies.condition:
        case CommandHolds() as command:
            stored["condition"] = (_COMMAND, command)
        case DayFits(days=days):
            stored["condition"] = (_DAYS, {"kind": _KIND_OF[type(days)], "rule": days})
    return encode(stored)


def decode_policies(text: str) -> Policies:
    """The policies that `encode_policies` wrote; equal texts give one object, unless they are large."""
    return _decode_policies_cached(text) if len(text) <= _CACHED_TEXT_LIMIT else _decode_policies(text)


def _decode_policies(text: str) -> Policies:
    stored = _policies_decoder.decode(text)
    return Policies(
        **{name: getattr(stored, name) for name in _PLAIN_POLICIES},
        on_success=tuple(_follow_up(*each) for each in stored.on_success),
        on_failure=tuple(_follow_up(*each) for each in stored.on_failure),
        condition=None if stored.condition is None else _condition(*stored.condition),
    )


_decode_policies_cached = lru_cache(maxsize=1024)(_decode_policies)


def _follow_up(kind: str, raw: msgspec.Raw) -> FollowUp:
    decoder = _follow_up_decoders.get(kind)
    if decoder is None:
        raise msgspec.ValidationError(f"{kind!r} is no kind of follow-up")
    return decoder.decode(raw)


def _condition(kind: str, raw: msgspec.Raw) -> Condition:
    if kind == _COMMAND:
        return _command_decoder.decode(raw)
    if kind != _DAYS:
        raise msgspec.ValidationError(f"{kind!r} is no kind of condition")
    days = _days_decoder.decode(raw)
    return DayFits(days=_trigger(days.kind, days.rule))


def decode_concurrency(text: str) -> Concurrency:
    """The concurrency policy that `encode_policies` wrote among the others."""
    return _concurrency_decoder.decode(text)


def decode_origin(text: str) -> Origin:
    """The origin that `encode` wrote."""
    return _origin_decoder.decode(text)


def decode_notice(text: str) -> Notice:
    """The notice that `encode` wrote."""
    return _notice_decoder.decode(text)


def decode_pause(text: str) -> Pause:
    """The pause that `encode` wrote."""
    return _pause_decoder.decode(text)


def decode_labels(text: str) -> dict[str, str]:
    """The labels that `encode` wrote."""
    return _labels_decoder.decode(text)


def decode_evidence(text: str) -> Evidence:
    """The evidence that `encode` wrote."""
    return _evidence_decoder.decode(text)


def decode_counts(text: str) -> dict[str, int]:
    """The object of integers that SQLite wrote."""
    return _counts_decoder.decode(text)


def decode_answer(text: str) -> list[int | str]:
    """The list of integers and texts that `encode` wrote."""
    return _answer_decoder.decode(text)
