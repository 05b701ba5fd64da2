"""The policies of one schedule, as lines for people: what it does at a fire, and what is not as it is by default."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration

from schedd.cli.names import short_name
from schedd.cli.spans import duration_text
from schedd.cli.views import NOTHING, trigger_text, word
from schedd.v1.policy_pb2 import (
    AfterLastRun,
    CatchUp,
    CatchUpMode,
    Concurrency,
    Condition,
    Delivery,
    FollowUp,
    Hold,
    Overlap,
    Policies,
    Recovery,
    Retry,
)
from schedd.v1.reason_pb2 import Reason
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.target_pb2 import StatusRange

_PRIORITY = 5
"""The default, which goes without saying."""


def policy_facts(schedule: Schedule) -> list[tuple[str, str]]:
    """Labels and values; a value is empty where there is nothing to say."""
    policies = schedule.policies
    if not schedule.HasField("policies"):
        return []
    return [
        ("Overlap", _overlap_text(policies)),
        ("Catch-up", _catch_up_text(policies.catch_up)),
        ("Attempts", _retry_text(policies.retry)),
        ("Retried", _retry_on_text(policies.retry)),
        ("Timeout", _span(policies.attempt_timeout) if policies.HasField("attempt_timeout") else ""),
        ("Delivery", "AT_MOST_ONCE" if policies.delivery == Delivery.DELIVERY_AT_MOST_ONCE else ""),
        ("Recovery", "END" if policies.recovery == Recovery.RECOVERY_END else ""),
        ("Priority", str(policies.priority) if policies.HasField("priority") and policies.priority != _PRIORITY else ""),
        ("Concurrency", _concurrency_text(policies.concurrency) if policies.HasField("concurrency") else ""),
        ("Circuit", "skipped while it is open" if policies.circuit_open == Hold.HOLD_SKIP else ""),
        ("Runs", f"{schedule.run_count} of {policies.max_runs}" if policies.max_runs else ""),
        ("At its end", "deleted" if policies.after_last_run == AfterLastRun.AFTER_LAST_RUN_DELETE else ""),
        ("Pauses", f"after {policies.pause_after_failures} failures in a row" if policies.pause_after_failures else ""),
        ("Condition", _condition_text(policies.condition)),
        ("On success", _follow_ups_text(policies.on_success)),
        ("On failure", _follow_ups_text(policies.on_failure)),
    ]


def _span(span: Duration) -> str:
    return duration_text(span.ToTimedelta())


def _overlap_text(policies: Policies) -> str:
    overlap = word(Overlap, policies.overlap)
    return f"{overlap}, at most {policies.buffer_limit} wait" if policies.overlap == Overlap.OVERLAP_BUFFER_ALL else overlap


def _catch_up_text(catch_up: CatchUp) -> str:
    if not catch_up.mode:
        return ""
    parts = [word(CatchUpMode, catch_up.mode)]
    if catch_up.mode != CatchUpMode.CATCH_UP_MODE_NONE and catch_up.HasField("window"):
        parts.append(f"within {_span(catch_up.window)}")
    if catch_up.mode == CatchUpMode.CATCH_UP_MODE_ALL:
        parts.append(f"at most {catch_up.max_runs}")
    return ", ".join([*parts, f"when more than {_span(catch_up.grace)} late"])


def _retry_text(retry: Retry) -> str:
    if retry.max_attempts <= 1:
        return str(retry.max_attempts or "")
    return f"{retry.max_attempts}, {_span(retry.min_backoff)} to {_span(retry.max_backoff)} apart, within {_span(retry.max_age)}"


def _retry_on_text(retry: Retry) -> str:
    if not retry.HasField("retry_on"):
        return ""
    on = retry.retry_on
    parts = [
        *(word(Reason, reason) for reason in on.reasons),
        *(f"status {_status_text(each)}" for each in on.http_status),
        *(f"exit code {code}" for code in on.exit_codes),
    ]
    return f"only {', '.join(parts)}" if parts else ""


def _status_text(statuses: StatusRange) -> str:
    return str(statuses.first) if statuses.last in (0, statuses.first) else f"{statuses.first}-{statuses.last}"


def _concurrency_text(concurrency: Concurrency) -> str:
    full = "skipped" if concurrency.when_full == Hold.HOLD_SKIP else "waits"
    return f"at most {concurrency.limit} of key {concurrency.key}; {full} when they are running"


def _condition_text(condition: Condition) -> str:
    match condition.WhichOneof("rule"):
        case "command":
            return f"{' '.join(condition.command.argv)} succeeds"
        case "days":
            return f"on the days of {trigger_text(condition.days)}"
        case _:
            return NOTHING


def _follow_ups_text(follow_ups: Iterable[FollowUp]) -> str:
    return ", ".join(f"run {short_name(each.schedule)}" if each.schedule else f"notify {each.notify.url}" for each in follow_ups)
