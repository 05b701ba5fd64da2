"""What a schedule has to be: `check_schedule` and `check_change` name every wrong field at once, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import assert_never

from schedd.core.admission import BUFFER_CAP
from schedd.core.durations import format_duration
from schedd.core.errors import FieldViolation
from schedd.core.identity import ByIdentity
from schedd.core.model.backfill import OCCURRENCES_MAX
from schedd.core.model.policy import (
    CatchUp,
    CommandHolds,
    Concurrency,
    Condition,
    DayFits,
    FollowUp,
    Notify,
    Policies,
    Retry,
    RetryOn,
    TriggerSchedule,
)
from schedd.core.model.schedule import NAME_PATTERN, Schedule, ScheduleName
from schedd.core.model.when import When
from schedd.core.retry import RETRYABLE
from schedd.core.target_rules import check_target
from schedd.core.triggers import NO_CALENDARS, Calendars, check_when, clockless

LABELS_MAX = 64
LABEL_VALUE_MAX_CHARACTERS = 255
DESCRIPTION_MAX_CHARACTERS = 1024
NOTE_MAX_CHARACTERS = 1024
ATTEMPTS_MAX = 100
DURATION_MAX = timedelta(days=366)
CATCH_UP_WINDOW_MAX = timedelta(days=3653)
"""Ten years."""
CATCH_UP_RUNS_MAX = OCCURRENCES_MAX
FAILURES_MAX = 1000
RUNS_MAX = 2**31
KEY_MAX_CHARACTERS = 128
CONCURRENCY_MAX = 10_000
FOLLOW_UPS_MAX = 8

_NAME = re.compile(NAME_PATTERN)
_RESOURCE_NAME = re.compile(f"groups/{NAME_PATTERN}/schedules/{NAME_PATTERN}")
_LABEL_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?")


def check_schedule(draft: Schedule, *, now_us: int, calendars: Calendars = NO_CALENDARS) -> tuple[FieldViolation, ...]:
    """All that is wrong with the draft, by fields of the proto's Schedule; empty if nothing is. `calendars` are those it may name."""
    return (*check_name(draft.name), *_definition(draft, now_us, calendars))


def _definition(draft: Schedule, now_us: int, calendars: Calendars) -> tuple[FieldViolation, ...]:
    """All that is wrong beside the name."""
    wrong_target = check_target(draft.target, draft.labels) if draft.labels else _wrong_target(draft.target)
    return (
        *check_labels(draft.labels),
        *_description(draft.description),
        *check_when(draft.when, now_us=now_us, calendars=calendars),
        *(violation.within("target") for violation in wrong_target),
        *_wrong_policies(draft.policies),
    )


def check_change(before: Schedule, after: Schedule, *, now_us: int, calendars: Calendars = NO_CALENDARS) -> tuple[FieldViolation, ...]:
    """All that is wrong with what a schedule is to become: a rule whose times are past may stay, so that the rest can be changed."""
    violations = check_schedule(after, now_us=now_us, calendars=calendars)
    if after.when == before.when:
        return tuple(violation for violation in violations if violation.reason != "NEVER_FIRES")
    return violations


def check_name(name: ScheduleName) -> Iterator[FieldViolation]:
    """What is wrong with a schedule's name."""
    for part, text in (("group", name.group), ("schedule", name.schedule)):
        if not _NAME.fullmatch(text):
            yield FieldViolation(
                field="name",
                reason="INVALID_NAME",
                description=f"the {part} {text!r} is not a name: 1 to 64 letters, digits, dots, dashes and underscores are, "
                "with a letter or digit at both ends",
            )


def check_pause(reason: str, until_us: int | None, *, now_us: int) -> Iterator[FieldViolation]:
    """What is wrong with a pause, by fields of the proto's PauseScheduleRequest."""
    yield from check_note(reason)
    if until_us is not None and until_us <= now_us:
        yield FieldViolation(field="until_time", reason="OUT_OF_RANGE", description="lies in the past; a pause ends later than it begins")


def check_note(reason: str) -> Iterator[FieldViolation]:
    """What is wrong with why somebody asks for something, the field `reason` of a request."""
    if len(reason) > NOTE_MAX_CHARACTERS:
        yield FieldViolation(
            field="reason", reason="TOO_LONG", description=f"{len(reason)} characters; at most {NOTE_MAX_CHARACTERS} are allowed"
        )


def check_labels(labels: Mapping[str, str]) -> Iterator[FieldViolation]:
    """What is wrong with labels."""
    if len(labels) > LABELS_MAX:
        yield FieldViolation(field="labels", reason="TOO_MANY", description=f"{len(labels)} labels; at most {LABELS_MAX} are allowed")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            yield FieldViolation(
                field=f"labels[{key!r}]",
                reason="INVALID_LABEL",
                description="a label's key is 1 to 63 lower-case letters, digits, dots, dashes, underscores and slashes, "
                "with a letter or digit at both ends",
            )
        if len(value) > LABEL_VALUE_MAX_CHARACTERS:
            yield FieldViolation(
                field=f"labels[{key!r}]",
                reason="TOO_LONG",
                description=f"{len(value)} characters; at most {LABEL_VALUE_MAX_CHARACTERS} are allowed",
            )


def _description(description: str) -> Iterator[FieldViolation]:
    if len(description) > DESCRIPTION_MAX_CHARACTERS:
        yield FieldViolation(
            field="description",
            reason="TOO_LONG",
            description=f"{len(description)} characters; at most {DESCRIPTION_MAX_CHARACTERS} are allowed",
        )


def _check_policies(policies: Policies) -> tuple[FieldViolation, ...]:
    return tuple(_policies(policies))


_wrong_policies = ByIdentity(_check_policies, capacity=256)
_wrong_target = ByIdentity(partial(check_target, labels=()), capacity=256)
"""Of a schedule without labels."""


def _policies(policies: Policies) -> Iterator[FieldViolation]:
    if policies.attempt_timeout is not None:
        yield from _duration("policies.attempt_timeout", policies.attempt_timeout, least=timedelta(milliseconds=1))
    if not 0 <= policies.priority <= 9:
        yield _out_of_range("policies.priority", policies.priority, "0 to 9")
    yield from _retry(policies.retry)
    yield from _catch_up(policies.catch_up)
    yield from _counts(policies)
    yield from _concurrency(policies.concurrency)
    for name in ("on_success", "on_failure"):
        yield from _follow_ups(f"policies.{name}", getattr(policies, name))
    yield from _condition(policies.condition)


def _retry(retry: Retry) -> Iterator[FieldViolation]:
    if not 1 <= retry.max_attempts <= ATTEMPTS_MAX:
        yield _out_of_range("policies.retry.max_attempts", retry.max_attempts, f"1 to {ATTEMPTS_MAX}")
    for name in ("min_backoff", "max_backoff", "max_age"):
        yield from _duration(f"policies.retry.{name}", getattr(retry, name))
    if retry.min_backoff > retry.max_backoff:
        yield FieldViolation(
            field="policies.retry.max_backoff",
            reason="OUT_OF_RANGE",
            description=f"{format_duration(retry.max_backoff)} is less than min_backoff, {format_duration(retry.min_backoff)}",
        )
    if not 1 <= retry.multiplier <= 100:
        yield _out_of_range("policies.retry.multiplier", retry.multiplier, "1 to 100")
    if not 0 <= retry.jitter <= 1:
        yield _out_of_range("policies.retry.jitter", retry.jitter, "0 to 1")
    yield from _retry_on(retry.retry_on)


def _retry_on(retry_on: RetryOn) -> Iterator[FieldViolation]:
    for index, codes in enumerate(retry_on.http_status):
        if not 100 <= codes.first <= codes.last <= 599:
            field = f"policies.retry.retry_on.http_status[{index}]"
            yield _out_of_range(field, f"{codes.first} to {codes.last}", "a range within 100 to 599")
    for index, code in enumerate(retry_on.exit_codes):
        if not 1 <= code <= 255:
            yield _out_of_range(f"policies.retry.retry_on.exit_codes[{index}]", code, "1 to 255")
    for index, reason in enumerate(retry_on.reasons):
        if reason not in RETRYABLE:
            allowed = ", ".join(sorted(RETRYABLE))
            yield _out_of_range(f"policies.retry.retry_on.reasons[{index}]", reason, f"one of {allowed}")


def _counts(policies: Policies) -> Iterator[FieldViolation]:
    for name, least, most in (("buffer_limit", 1, BUFFER_CAP), ("pause_after_failures", 0, FAILURES_MAX), ("max_runs", 0, RUNS_MAX)):
        if not least <= getattr(policies, name) <= most:
            yield _out_of_range(f"policies.{name}", getattr(policies, name), f"{least} to {most}")


def _concurrency(concurrency: Concurrency | None) -> Iterator[FieldViolation]:
    if concurrency is None:
        return
    if not 1 <= len(concurrency.key) <= KEY_MAX_CHARACTERS:
        description = f"{len(concurrency.key)} characters; 1 to {KEY_MAX_CHARACTERS} are allowed"
        yield FieldViolation(field="policies.concurrency.key", reason="OUT_OF_RANGE", description=description)
    if not 1 <= concurrency.limit <= CONCURRENCY_MAX:
        yield _out_of_range("policies.concurrency.limit", concurrency.limit, f"1 to {CONCURRENCY_MAX}")


def _follow_ups(field: str, follow_ups: tuple[FollowUp, ...]) -> Iterator[FieldViolation]:
    if len(follow_ups) > FOLLOW_UPS_MAX:
        yield FieldViolation(field=field, reason="TOO_MANY", description=f"{len(follow_ups)}; at most {FOLLOW_UPS_MAX} are allowed")
    for index, follow_up in enumerate(follow_ups):
        match follow_up:
            case TriggerSchedule(schedule=schedule):
                if not _RESOURCE_NAME.fullmatch(schedule):
                    description = f"{schedule!r} is not a schedule's name; groups/default/schedules/cleanup is"
                    yield FieldViolation(field=f"{field}[{index}].schedule", reason="INVALID_NAME", description=description)
            case Notify(target=target):
                for violation in check_target(target, None):
                    yield replace(violation, field=f"{field}[{index}].notify{violation.field.removeprefix('http')}")
            case _:
                assert_never(follow_up)


def _condition(condition: Condition | None) -> Iterator[FieldViolation]:
    match condition:
        case None:
            return
        case CommandHolds():
            for violation in check_target(condition.command, None):
                yield replace(violation, field=f"policies.condition.command{violation.field.removeprefix('process')}")
            if not timedelta(milliseconds=1) <= condition.timeout <= timedelta(hours=1):
                yield _out_of_range("policies.condition.timeout", format_duration(condition.timeout), "1ms to 1h")
        case DayFits(days=days):
            when = When(triggers=(days,))
            violations = check_when(when, now_us=0)
            for violation in violations:
                yield replace(violation, field=violation.field.replace("triggers[0]", "policies.condition.days"))
            if not violations and clockless(when):
                description = "a start of the daemon or a completion has no days of its own; a cron expression has"
                yield FieldViolation(field="policies.condition.days", reason="INVALID_EXPRESSION", description=description)
        case _:
            assert_never(condition)


def _catch_up(catch_up: CatchUp) -> Iterator[FieldViolation]:
    if catch_up.window is not None:
        yield from _duration("policies.catch_up.window", catch_up.window, most=CATCH_UP_WINDOW_MAX)
    yield from _duration("policies.catch_up.grace", catch_up.grace)
    if not 1 <= catch_up.max_runs <= CATCH_UP_RUNS_MAX:
        yield _out_of_range("policies.catch_up.max_runs", catch_up.max_runs, f"1 to {CATCH_UP_RUNS_MAX}")


def _duration(field: str, value: timedelta, *, least: timedelta = timedelta(0), most: timedelta = DURATION_MAX) -> Iterator[FieldViolation]:
    if not least <= value <= most:
        yield _out_of_range(field, format_duration(value), f"{format_duration(least)} to {format_duration(most)}")


def _out_of_range(field: str, value: object, allowed: str) -> FieldViolation:
    return FieldViolation(field=field, reason="OUT_OF_RANGE", description=f"{value} is not allowed; {allowed} is")
