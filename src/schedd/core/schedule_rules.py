"""What a schedule has to be: `check_schedule` names every wrong field at once, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from schedd.core.errors import FieldViolation
from schedd.core.model.policy import CatchUp, Policies, Retry
from schedd.core.model.schedule import NAME_PATTERN, Schedule, ScheduleName
from schedd.core.model.when import AfterCompletion, AtStart, When
from schedd.core.target_rules import check_target
from schedd.core.triggers import check_when

LABELS_MAX = 64
LABEL_VALUE_MAX_CHARACTERS = 256
DESCRIPTION_MAX_CHARACTERS = 4096
ATTEMPTS_MAX = 100
DURATION_MAX = timedelta(days=366)
CATCH_UP_RUNS_MAX = 1000

_NAME = re.compile(NAME_PATTERN)
_LABEL_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?")


def check_schedule(draft: Schedule, *, now_us: int) -> tuple[FieldViolation, ...]:
    """All that is wrong with the draft, by fields of the proto's Schedule; empty if nothing is."""
    return (
        *check_name(draft.name),
        *_labels(draft.labels),
        *_description(draft.description),
        *check_when(draft.when, now_us=now_us),
        *_not_built(draft.when),
        *(_within("target", violation) for violation in check_target(draft.target, draft.labels)),
        *_policies(draft.policies),
    )


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


def _within(prefix: str, violation: FieldViolation) -> FieldViolation:
    return FieldViolation(field=f"{prefix}.{violation.field}", reason=violation.reason, description=violation.description)


def _labels(labels: Mapping[str, str]) -> Iterator[FieldViolation]:
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


def _not_built(when: When) -> Iterator[FieldViolation]:
    for index, trigger in enumerate(when.triggers):
        if isinstance(trigger, AfterCompletion | AtStart):
            yield _unbuilt(f"triggers[{index}]", "delays after completion and @reboot come with a later release")
    for field, names in (("exclude_calendars", when.exclude_calendars), ("include_calendars", when.include_calendars)):
        if names:
            yield _unbuilt(field, "named calendars come with a later release")


def _policies(policies: Policies) -> Iterator[FieldViolation]:
    if policies.attempt_timeout is not None:
        yield from _duration("policies.attempt_timeout", policies.attempt_timeout, least=timedelta(milliseconds=1))
    if not 0 <= policies.priority <= 9:
        yield _out_of_range("policies.priority", policies.priority, "0 to 9")
    yield from _retry(policies.retry)
    yield from _catch_up(policies.catch_up)


def _retry(retry: Retry) -> Iterator[FieldViolation]:
    if not 1 <= retry.max_attempts <= ATTEMPTS_MAX:
        yield _out_of_range("policies.retry.max_attempts", retry.max_attempts, f"1 to {ATTEMPTS_MAX}")
    for name in ("min_backoff", "max_backoff", "max_age"):
        yield from _duration(f"policies.retry.{name}", getattr(retry, name))
    if retry.min_backoff > retry.max_backoff:
        yield FieldViolation(
            field="policies.retry.max_backoff",
            reason="OUT_OF_RANGE",
            description=f"{retry.max_backoff} is less than min_backoff, {retry.min_backoff}",
        )
    if not 1 <= retry.multiplier <= 100:
        yield _out_of_range("policies.retry.multiplier", retry.multiplier, "1 to 100")
    if not 0 <= retry.jitter <= 1:
        yield _out_of_range("policies.retry.jitter", retry.jitter, "0 to 1")


def _catch_up(catch_up: CatchUp) -> Iterator[FieldViolation]:
    if catch_up.window is not None:
        yield from _duration("policies.catch_up.window", catch_up.window)
    yield from _duration("policies.catch_up.grace", catch_up.grace)
    if not 1 <= catch_up.max_runs <= CATCH_UP_RUNS_MAX:
        yield _out_of_range("policies.catch_up.max_runs", catch_up.max_runs, f"1 to {CATCH_UP_RUNS_MAX}")


def _duration(field: str, value: timedelta, *, least: timedelta = timedelta(0)) -> Iterator[FieldViolation]:
    if not least <= value <= DURATION_MAX:
        yield _out_of_range(field, value, f"{least} to {DURATION_MAX}")


def _out_of_range(field: str, value: object, allowed: str) -> FieldViolation:
    return FieldViolation(field=field, reason="OUT_OF_RANGE", description=f"{value} is not allowed; {allowed} is")


def _unbuilt(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, reason="NOT_BUILT_YET", description=description)
