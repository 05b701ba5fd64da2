"""Explaining: what is told of a record, case by case; and that nothing is told twice or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedd.core.explaining import Holdup, Present, Record, Window, explain
from schedd.core.explaining.coming import LOOKED_AHEAD
from schedd.core.explaining.wording import Wording, actor, clause, shown, span
from schedd.core.model.backfill import Backfill
from schedd.core.model.calendar import Calendar, DateEntry
from schedd.core.model.execution import Cause, Execution, ExecutionState, id_text
from schedd.core.model.explanation import Explanation
from schedd.core.model.journal import ExecutionFacts, JournalEntry, JournalKind
from schedd.core.model.policy import CatchUp, CommandHolds, Overlap, Policies
from schedd.core.model.reason import Outcome, Reason
from schedd.core.model.schedule import Pause, Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import HttpTarget, ProcessTarget
from schedd.core.model.when import AfterCompletion, CalendarShift, Cron, Interval, OnCalendar, Once, Spread, SpreadMode, Trigger, When
from schedd.core.triggers import Calendars, calendar_days

NAME = ScheduleName(group="default", schedule="job")
T0 = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z"""
MINUTE = 60_000_000
DAY = 1440.0
NOW = 10.5
"""Minutes after T0."""


def us(minute: float) -> int:
    return T0 + int(minute * MINUTE)


def schedule(*triggers: Trigger, **values: Any) -> Schedule:
    """Minutely, created at T0 by ann."""
    when = {field: values.pop(field) for field in list(values) if field in When.__dataclass_fields__}
    made = Schedule(
        name=NAME,
        when=When(triggers=triggers or (Cron(text="* * * * *"),), **when),
        target=HttpTarget(url="x:"),
        created_us=T0,
        creator="ann",
    )
    return replace(made, **values)


class Journal:
    """Makes entries with ascending sequence numbers."""

    def __init__(self) -> None:
        self.sequence = 0

    def entry(self, kind: JournalKind, minute: float, **values: Any) -> JournalEntry:
        self.sequence += 1
        actor = values.pop("actor", "bob" if kind.startswith(("SCHEDULE", "CALENDAR")) else "schedd")
        return JournalEntry(time_us=us(minute), kind=kind, actor=actor, schedule=NAME, sequence=self.sequence, **values)

    def of(self, execution: Execution, kind: JournalKind, minute: float, **values: Any) -> JournalEntry:
        facts = ExecutionFacts(execution.id, execution.cause, execution.nominal_us, execution.due_us)
        return self.entry(kind, minute, execution=facts, **values)

    def range(self, first: float, last: float, count: int, reason: Reason, minute: float, **evidence: Any) -> JournalEntry:
        kind, outcome = JournalKind.OCCURRENCES_MISSED, Outcome.MISSED
        if reason in (Reason.PAUSED, Reason.EXCLUDED):
            kind, outcome = JournalKind.OCCURRENCES_SKIPPED, Outcome.SKIPPED
        facts = {"first_us": us(first), "last_us": us(last), "count": count, "counted": True, **evidence}
        return self.entry(kind, minute, outcome=outcome, reason=reason, evidence=facts)


def execution(minute: float, state: ExecutionState = ExecutionState.FINISHED, **values: Any) -> Execution:
    """Of the occurrence at that minute; armed and started on time."""
    nominal_us = us(minute)
    made = Execution(nominal_us // MINUTE, NAME, 1, 7, 1, Cause.SCHEDULE, nominal_us, nominal_us, nominal_us - 500_000, state)
    return made._replace(**{"attempt": 1, "started_us": nominal_us, **values})


SUCCEEDED: dict[str, Any] = {"outcome": Outcome.SUCCEEDED, "reason": Reason.COMPLETED}


def told(record: Record, first: float, last: float | None = None, **present: Any) -> tuple[Explanation, ...]:
    """The explanations from one minute to another, both included, or of one instant."""
    present.setdefault("now_us", us(NOW))
    window = Window(first_us=us(first), last_us=us(first if last is None else last), single=last is None)
    return explain(record, Present(**present), window, limit=1000)


def one(record: Record, minute: float, **present: Any) -> Explanation:
    [found] = told(record, minute, **present)
    return found


def times(found: Sequence[Explanation]) -> list[tuple[float, float, int]]:
    return [((each.first_us - T0) / MINUTE, (each.last_us - T0) / MINUTE, each.count) for each in found]


# Executions


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.COMPLETED])
@pytest.mark.parametrize(("outcome", "lead"), [(Outcome.FAILED, "Failed"), (Outcome.SKIPPED, "Skipped"), (Outcome.MISSED, "Missed")])
def test_each_reason_is_told_with_its_sentence(reason: Reason, outcome: Outcome, lead: str) -> None:
    ended = execution(3, outcome=outcome, reason=reason)
    found = one(Record(schedule=schedule(), executions=[ended]), 3)
    assert (found.outcome, found.reason, found.execution_id, found.count) == (outcome, reason, ended.id, 1)
    assert found.summary == f"{lead}: {clause(reason)}."


EVIDENCE: list[tuple[dict[str, Any], str]] = [
    ({"blocking_execution": 32}, f" (execution {id_text(32)})"),
    ({"limited_by": "key", "key": "db", "running": 1, "limit": 1}, " (key db: 1 of 1 were running)"),
    ({"limited_by": "global", "running": 9, "limit": 9}, " (global: 9 of 9 were running)"),
    ({"host": "h:80", "probe_us": us(5)}, " (h:80; its next probe was due at Thu 2026-01-01 00:05:00+0000)"),
    ({"code": 500}, " (code 500)"),
    ({"code": 500, "message": "no"}, " (no)"),
    ({"detail": "why"}, " (why)"),
    ({"other": 1}, ""),
]


@pytest.mark.parametrize(("evidence", "words"), EVIDENCE)
def test_evidence_is_told_in_words(evidence: dict[str, Any], words: str) -> None:
    journal = Journal()
    ended = execution(3, outcome=Outcome.FAILED, reason=Reason.OVERLAP)
    entry = journal.of(ended, JournalKind.EXECUTION_FINISHED, 3, outcome=Outcome.FAILED, reason=Reason.OVERLAP, evidence=evidence)
    found = one(Record(schedule=schedule(), executions=[ended], entries=[entry]), 3)
    assert found.summary == f"Failed: {clause(Reason.OVERLAP)}{words}."
    assert found.entries == (entry,)
    assert found.evidence == shown(evidence)


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        (SUCCEEDED, "Ran, and succeeded."),
        ({**SUCCEEDED, "attempt": 3}, "Ran, and succeeded (after 3 attempts)."),
        ({**SUCCEEDED, "started_us": us(5)}, "Ran, and succeeded (started 2 min late)."),
        ({**SUCCEEDED, "cause": Cause.BACKFILL}, "Ran, and succeeded; a backfill asked for it."),
        (
            {"outcome": Outcome.UNKNOWN, "reason": Reason.INTERRUPTED},
            f"What came of it is not known: {clause(Reason.INTERRUPTED)}.",
        ),
        ({"outcome": Outcome.CANCELLED, "reason": Reason.CANCELLED}, "Cancelled: somebody cancelled it."),
        ({"outcome": None, "reason": Reason.NONE}, "Ended: there is nothing to say."),
        ({"state": ExecutionState.RUNNING}, "Runs since Thu 2026-01-01 00:03:00+0000."),
        ({"state": ExecutionState.RUNNING, "attempt": 2, "started_us": None}, "Runs, attempt 2."),
        (
            {"state": ExecutionState.WAITING_RETRY, "reason": Reason.TIMEOUT, "next_attempt_us": us(4)},
            "Waits for attempt 2 at Thu 2026-01-01 00:04:00+0000: the attempt took longer than it may.",
        ),
        ({"state": ExecutionState.WAITING_RETRY, "reason": Reason.SPAWN}, "Waits for attempt 2: the process could not be started."),
        (
            {"state": ExecutionState.QUEUED, "reason": Reason.OVERLAP},
            f"Is due, and waits: {clause(Reason.OVERLAP)}.",
        ),
        ({"state": ExecutionState.ARMED}, "Is armed, and will start at Thu 2026-01-01 00:03:00+0000."),
    ],
)
def test_standing_of_an_execution_is_told(values: dict[str, Any], summary: str) -> None:
    made = execution(3)._replace(**values)
    found = one(Record(schedule=schedule(), executions=[made]), 3)
    assert (found.summary, found.predicted) == (summary, made.state is ExecutionState.ARMED)


def test_wait_cancellation_and_dead_letter_are_told_from_the_journal() -> None:
    journal = Journal()
    made = execution(3, outcome=Outcome.CANCELLED, reason=Reason.CANCELLED)
    key = {"limited_by": "key", "key": "db", "running": 1, "limit": 1}
    entries = [
        journal.of(made, JournalKind.EXECUTION_QUEUED, 3, reason=Reason.CONCURRENCY, evidence=key),
        journal.of(made, JournalKind.EXECUTION_STARTED, 4),
        journal.of(made, JournalKind.EXECUTION_FINISHED, 5, outcome=Outcome.CANCELLED, reason=Reason.CANCELLED, actor="cy"),
        journal.of(made, JournalKind.EXECUTION_DEAD_LETTERED, 5),
    ]
    waited = f"it had waited: {clause(Reason.CONCURRENCY)} (key db: 1 of 1 were running)"
    ended = one(Record(schedule=schedule(), executions=[made], entries=entries), 3)
    assert ended.summary == f"Cancelled by cy: somebody cancelled it; {waited}; it became a dead letter."
    queued = made._replace(state=ExecutionState.QUEUED, outcome=None, reason=Reason.CONCURRENCY)
    waits = one(Record(schedule=schedule(), executions=[queued], entries=entries[:1]), 3)
    assert waits.summary.endswith("under the schedule's key (key db: 1 of 1 were running).")


def test_why_an_earlier_attempt_failed_is_told_of_what_runs_again() -> None:
    made = execution(3, ExecutionState.RUNNING)._replace(attempt=2)
    retrying = Journal().of(made, JournalKind.EXECUTION_RETRYING, 3, reason=Reason.EXIT_CODE, evidence={"code": 3}, attempt=1)
    again = one(Record(schedule=schedule(), executions=[made], entries=[retrying]), 3)
    assert again.summary.endswith(f"+0000, attempt 2; of attempt 1: {clause(Reason.EXIT_CODE)} (code 3).")
    cut_off = retrying._replace(reason=Reason.INTERRUPTED)
    again = one(Record(schedule=schedule(), executions=[made], entries=[cut_off]), 3)
    assert again.summary.endswith(f"; of attempt 1: {clause(Reason.INTERRUPTED)}.")
    waits = made._replace(state=ExecutionState.WAITING_RETRY, reason=Reason.EXIT_CODE)
    assert one(Record(schedule=schedule(), executions=[waits], entries=[retrying]), 3).summary.count("exit code") == 1


def test_execution_whose_row_is_gone_is_told_from_the_journal() -> None:
    journal = Journal()
    made = execution(3)
    armed = journal.of(made, JournalKind.EXECUTION_ARMED, 2.9)
    ended = journal.of(made, JournalKind.EXECUTION_FINISHED, 3, outcome=Outcome.MISSED, reason=Reason.MISFIRE)
    found = one(Record(schedule=schedule(), entries=[armed, ended]), 3)
    assert (found.outcome, found.execution_id, found.entries) == (Outcome.MISSED, made.id, (armed, ended))
    cut = one(Record(schedule=schedule(), entries=[armed]), 3)
    assert cut.summary.startswith("What came of it is not kept any more: its execution is gone, and the journal says nothing ")
    assert (cut.outcome, cut.reason) == (None, Reason.NONE)


def test_backfill_of_an_occurrence_that_ran_is_told_with_it() -> None:
    first = execution(3, **SUCCEEDED)
    again = first._replace(id=first.id + 1, cause=Cause.BACKFILL)
    manual = first._replace(id=first.id + 2, cause=Cause.MANUAL)
    armed = Journal().of(manual, JournalKind.EXECUTION_ARMED, 3)
    found = one(Record(schedule=schedule(), executions=[first, again, manual], entries=[armed]), 3)
    assert found.entries == ()
    assert found.summary == f"Ran, and succeeded; a backfill made execution {id_text(again.id)} of it: succeeded."
    running = again._replace(state=ExecutionState.RUNNING, outcome=None)
    assert one(Record(schedule=schedule(), executions=[first, running]), 3).summary.endswith("of it.")
    gone = Journal().of(again, JournalKind.EXECUTION_ARMED, 2)
    assert one(Record(schedule=schedule(), executions=[first], entries=[gone]), 3).summary.endswith("of it.")


# Ranges


@pytest.mark.parametrize(
    ("reason", "policy"),
    [
        (Reason.MISFIRE, ""),
        (Reason.CATCH_UP_WINDOW, " (now 1 h 30 min)"),
        (Reason.CATCH_UP_SUPERSEDED, ""),
        (Reason.CATCH_UP_MAX_RUNS, " (now 100)"),
        (Reason.MAX_RUNS, " (now 5)"),
        (Reason.PAUSED, ""),
    ],
)
def test_range_is_told_whole_in_part_and_of_one(reason: Reason, policy: str) -> None:
    policies = Policies(catch_up=CatchUp(window=timedelta(minutes=90)), max_runs=5)
    entry = Journal().range(2, 6, 5, reason, 7)
    record = Record(schedule=schedule(policies=policies), life=[entry])
    verb = "skipped" if reason is Reason.PAUSED else "missed"
    [whole] = told(record, 1.5, 6.5)
    assert (whole.first_us, whole.last_us, whole.count, whole.reason, whole.entries) == (us(2), us(6), 5, reason, (entry,))
    assert whole.summary == f"5 occurrences {verb}: {clause(reason, 5)}{policy}."
    [part] = told(record, 2.5, 4.5)
    assert times([part]) == [(3, 4, 2)]
    assert one(record, 4).summary == f"{verb.capitalize()}: {clause(reason)}{policy}."
    assert one(record, 4.5).count == 0


def test_range_that_was_not_counted_says_more_than() -> None:
    entry = Journal().range(2, 8, 1000, Reason.MISFIRE, 9, counted=False)
    [found] = told(Record(schedule=schedule(), life=[entry]), 1.5, 9)[:1]
    assert found.summary.startswith("More than 1000 occurrences missed: ")


def test_range_names_what_ran_in_its_stead() -> None:
    journal = Journal()
    stead = execution(7, armed_us=us(8), **SUCCEEDED)
    other = execution(9, **SUCCEEDED)
    gone = journal.of(execution(6.5), JournalKind.EXECUTION_ARMED, 8)
    entry = journal.range(2, 6, 5, Reason.CATCH_UP_SUPERSEDED, 8)
    record = Record(schedule=schedule(), executions=[other, stead], entries=[gone], life=[entry])
    assert told(record, 2, 6)[0].summary.endswith(f"; it was execution {id_text(stead.id)}, of Thu 2026-01-01 00:07:00+0000.")


def test_range_is_cut_where_a_backfill_ran_one_of_it() -> None:
    entry = Journal().range(2, 6, 5, Reason.MISFIRE, 7)
    backfilled = execution(4, cause=Cause.BACKFILL, **SUCCEEDED)
    found = told(Record(schedule=schedule(), executions=[backfilled], life=[entry]), 2, 6)
    assert times(found) == [(2, 3, 2), (4, 4, 1), (5, 6, 2)]


def test_range_before_a_change_of_the_rule_is_told_as_it_was_recorded() -> None:
    journal = Journal()
    entry = journal.range(2, 6, 3, Reason.MISFIRE, 7)
    changed = journal.entry(JournalKind.SCHEDULE_UPDATED, 8)
    found = told(Record(schedule=schedule(), life=[entry, changed]), 3, 9)
    assert times(found)[:2] == [(3, 6, 3), (8, 8, 0)]
    assert "the schedule, perhaps its rule, was changed then by bob" in found[1].summary


def test_range_whose_rule_ends_within_it_tells_nothing_of_later_times() -> None:
    entry = Journal().range(2, 6, 5, Reason.MISFIRE, 7)
    record = Record(schedule=schedule(Once(times_us=(us(2), us(3)))), life=[entry])
    [found] = told(record, 4, 9)
    assert (found.reason, found.count) == (Reason.ENDED, 0)


# Absences


def away(kind: str) -> tuple[list[JournalEntry], dict[int, int], str]:
    """The daemon's entries for an absence from 1:30 to 8:00, the signs of life, and what is to be told."""
    journal = Journal()
    at, until = "Thu 2026-01-01 00:01:30+0000", "Thu 2026-01-01 00:08:00+0000"
    first = journal.entry(JournalKind.DAEMON_STARTED, 0)
    match kind:
        case "stopped":
            entries = [journal.entry(JournalKind.DAEMON_STOPPED, 1.5), journal.entry(JournalKind.DAEMON_STARTED, 8)]
            return [first, *entries], {}, f"the daemon was stopped from {at} to {until}"
        case "crashed":
            started = journal.entry(JournalKind.DAEMON_STARTED, 8)
            words = f"the daemon ended unforeseen after {at}, its last sign of life, and started at {until}"
            return [first, started], {started.sequence: us(1.5)}, words
        case "stepped":
            step = journal.entry(JournalKind.CLOCK_STEPPED, 8, evidence={"step_us": int(6.5 * MINUTE)})
            back = journal.entry(JournalKind.CLOCK_STEPPED, 8, evidence={"step_us": -5})
            return [first, back, step], {}, f"the host's clock went forward by 6 min 30 s at {until}: it was set, or the host slept"
        case _:
            slept = journal.entry(JournalKind.HOST_SUSPENDED, 8, evidence={"suspended_us": int(6.5 * MINUTE)})
            return [first, slept], {}, f"the host was suspended for 6 min 30 s until {until}"


@pytest.mark.parametrize("kind", ["stopped", "crashed", "stepped", "suspended"])
def test_absence_is_told_of_what_it_made_late_and_of_nothing_else(kind: str) -> None:
    daemon, signs, words = away(kind)
    journal = Journal()
    journal.sequence = 100
    missed = journal.range(2, 6, 5, Reason.MISFIRE, 8)
    late = execution(7, armed_us=us(8), started_us=us(8), **SUCCEEDED)
    given_up = execution(1.75, outcome=Outcome.MISSED, reason=Reason.MISFIRE)
    ended = journal.of(given_up, JournalKind.EXECUTION_FINISHED, 8, outcome=Outcome.MISSED, reason=Reason.MISFIRE)
    after = execution(9, **SUCCEEDED)
    before = execution(1, armed_us=us(8), **SUCCEEDED)
    record = Record(
        schedule=schedule(),
        executions=[before, given_up, late, after],
        entries=[ended],
        life=[missed],
        daemon=daemon,
        signs=signs,
    )
    found = told(record, 1, 9)
    assert [words in each.summary for each in found] == [False, True, True, True, False, False]
    assert found[2].entries[-1] == missed
    assert all(entry in daemon for entry in found[2].entries[:-1])
    assert found[2].entries[:-1]
    assert found[2].evidence["absent_until_us"] == us(8)


def test_late_execution_without_a_cause_that_is_recorded_is_told_without_one() -> None:
    late = execution(7, armed_us=us(8), started_us=us(8), **SUCCEEDED)
    assert one(Record(schedule=schedule(), executions=[late]), 7).summary == "Ran, and succeeded (started 1 min late)."
    early = execution(-1, armed_us=us(8), started_us=us(8), **SUCCEEDED)
    assert one(Record(schedule=schedule(), executions=[early]), -1).summary == "Ran, and succeeded (started 9 min late)."


def test_execution_that_a_pause_made_late_is_told_so() -> None:
    journal = Journal()
    life = [
        journal.entry(JournalKind.SCHEDULE_PAUSED, 2),
        journal.entry(JournalKind.SCHEDULE_RESUMED, 8, actor="schedd", reason=Reason.ENDED),
    ]
    late = execution(7, armed_us=us(8), started_us=us(8), **SUCCEEDED)
    found = one(Record(schedule=schedule(), executions=[late], life=life), 7)
    pause = "the schedule was paused from Thu 2026-01-01 00:02:00+0000 by bob to Thu 2026-01-01 00:08:00+0000, when it ended by itself"
    assert found.summary == f"Ran, and succeeded (started 1 min late); {pause}."
    assert found.entries == tuple(life)


# How the schedule stood


def test_life_of_a_schedule_is_told_piece_by_piece() -> None:
    journal = Journal()
    life = [
        journal.entry(JournalKind.SCHEDULE_CREATED, 0),
        journal.entry(JournalKind.SCHEDULE_PAUSED, 1.5, evidence={"detail": "holidays"}),
        journal.entry(JournalKind.SCHEDULE_PAUSED, 2.5),
        journal.entry(JournalKind.SCHEDULE_DELETED, 3.5),
        journal.entry(JournalKind.SCHEDULE_UNDELETED, 4.5),
        journal.entry(JournalKind.SCHEDULE_RESUMED, 5.5),
        journal.entry(JournalKind.SCHEDULE_DISABLED, 6.5, actor="schedd", reason=Reason.UNFORESEEN, evidence={"detail": "boom"}),
        journal.entry(JournalKind.SCHEDULE_UPDATED, 7.5, evidence={"fields": "target"}),
        journal.entry(JournalKind.SCHEDULE_COMPLETED, 8.5, actor="schedd", reason=Reason.MAX_RUNS),
    ]
    record = Record(schedule=schedule(state=ScheduleState.COMPLETED), life=life)
    found = told(record, 1, 12)
    assert [(each.reason, each.outcome, each.predicted) for each in found] == [
        (Reason.NONE, None, False),
        (Reason.PAUSED, Outcome.SKIPPED, False),
        (Reason.PAUSED, Outcome.SKIPPED, False),
        (Reason.DELETED, Outcome.SKIPPED, False),
        (Reason.PAUSED, Outcome.SKIPPED, False),
        (Reason.NONE, None, False),
        (Reason.DISABLED, Outcome.SKIPPED, False),
        (Reason.NONE, None, False),
        (Reason.MAX_RUNS, Outcome.SKIPPED, False),
        (Reason.MAX_RUNS, Outcome.SKIPPED, True),
    ]
    assert found[0].summary.startswith("Nothing is recorded of it")
    assert "by bob (holidays) to Thu 2026-01-01 00:02:30+0000, when bob paused it" in found[1].summary
    assert found[3].summary.endswith("until it was restored at Thu 2026-01-01 00:04:30+0000 by bob.")
    assert "it was disabled at Thu 2026-01-01 00:06:30+0000 by schedd itself (boom), until it was changed at" in found[6].summary
    assert found[9].summary.startswith("2 occurrences would be skipped: ")


def test_change_of_a_paused_schedule_leaves_it_paused() -> None:
    journal = Journal()
    life = [
        journal.entry(JournalKind.SCHEDULE_PAUSED, 1.5),
        journal.entry(JournalKind.SCHEDULE_UPDATED, 3.5, evidence={"fields": "policies, labels"}),
    ]
    found = told(Record(schedule=schedule(state=ScheduleState.PAUSED), life=life), 2, 5)
    assert [(each.reason, each.count, each.outcome) for each in found] == [(Reason.PAUSED, 4, None)]


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        (JournalKind.SCHEDULE_RESUMED, ScheduleState.PAUSED, "the schedule was paused from before the journal begins to Thu"),
        (
            JournalKind.SCHEDULE_UNDELETED,
            ScheduleState.DELETED,
            "it was deleted, which happened before what the journal keeps, until",
        ),
    ],
)
def test_standing_whose_begin_is_not_kept_is_told_from_its_end(kind: JournalKind, state: ScheduleState, words: str) -> None:
    record = Record(schedule=schedule(), life=[Journal().entry(kind, 5)], kept_from_us=us(1))
    found = one(record, 3)
    assert found.reason.value == state.value
    assert words in found.summary


def test_standing_of_now_is_told_although_nothing_of_it_is_kept() -> None:
    pause = Pause(actor="eve", since_us=us(1), reason="moving", until_us=us(12))
    paused = schedule(state=ScheduleState.PAUSED, pause=pause)
    held = "the schedule is paused since Thu 2026-01-01 00:01:00+0000 by eve (moving), until Thu 2026-01-01 00:12:00+0000"
    assert one(Record(schedule=paused), 3).summary == f"Held back: {held}."
    past, coming, after = told(Record(schedule=paused), 9.5, 13)
    assert (past.count, coming.count, after.count) == (1, 2, 1)
    assert coming.summary == f"2 occurrences would be held back: {held}."
    assert after.summary == "Would run; the schedule is paused until Thu 2026-01-01 00:12:00+0000, unless somebody resumes it before."
    unknown = Record(schedule=schedule(state=ScheduleState.PAUSED))
    assert one(unknown, 3).summary == "Held back: the schedule is paused since before the journal begins, until somebody resumes it."
    completed = one(Record(schedule=schedule(state=ScheduleState.COMPLETED)), 3)
    assert (completed.reason, completed.outcome) == (Reason.ENDED, Outcome.SKIPPED)


def test_range_of_a_pause_is_told_with_the_pause() -> None:
    journal = Journal()
    paused, resumed = journal.entry(JournalKind.SCHEDULE_PAUSED, 1.5), journal.entry(JournalKind.SCHEDULE_RESUMED, 6.5)
    entry = journal.range(2, 6, 5, Reason.PAUSED, 6.5)
    [found] = told(Record(schedule=schedule(), life=[paused, resumed, entry]), 2, 6)
    assert (found.entries, found.evidence) == ((paused, resumed, entry), entry.evidence)
    assert found.summary.startswith("5 occurrences skipped: the schedule was paused from Thu 2026-01-01 00:01:30+0000 by bob to ")


# Silences


def test_time_before_the_creation_is_told_up_to_the_first_execution() -> None:
    created = Journal().entry(JournalKind.SCHEDULE_CREATED, 0)
    backfilled = execution(-5, cause=Cause.BACKFILL, **SUCCEEDED)
    found = told(Record(schedule=schedule(), executions=[backfilled], life=[created]), -10, 0)
    assert [each.count for each in found] == [0, 1, 0]
    assert found[0].summary == "The schedule was not there yet: it was created at Thu 2026-01-01 00:00:00+0000 by ann."
    assert (found[0].entries, found[0].last_us) == ((created,), us(-5) - 1)


def test_what_is_older_than_the_journal_is_told_as_not_kept() -> None:
    record = Record(schedule=schedule(), kept_from_us=us(4.5))
    found = told(record, 1, 6)
    assert times(found) == [(1, 4, 4), (5, 5, 1), (6, 6, 1)]
    assert found[0].summary.startswith("4 occurrences that are told of no more: what happened is not kept any more: the journal begins at")
    assert (found[0].outcome, found[0].reason) == (None, Reason.NONE)
    assert one(record, 3).summary.startswith("What happened is not kept any more: ")


def test_rule_of_before_a_change_is_not_made_up() -> None:
    changed = Journal().entry(JournalKind.SCHEDULE_UPDATED, 4.5, evidence={"fields": "triggers, time_zone"})
    ran = execution(2.5, **SUCCEEDED)
    record = Record(schedule=schedule(), executions=[ran], life=[changed])
    found = told(record, 1, 5)
    assert times(found) == [(2.5, 2.5, 1), (4.5, 4.5, 0), (5, 5, 1)]
    assert "the rule (triggers, time_zone) was changed then by bob" in found[1].summary
    assert one(record, 3).summary == found[1].summary
    [note] = told(record, 3, 4)
    assert (note.first_us, note.count) == (us(4), 0)


def test_taken_back_due_and_unrecorded_ones_are_told_as_what_they_are() -> None:
    journal = Journal()
    back = journal.of(execution(3), JournalKind.EXECUTION_DISARMED, 2.9, reason=Reason.SCHEDULE_CHANGED)
    record = Record(schedule=schedule(), entries=[back])
    taken = one(record, 3, undecided_us=us(10))
    assert (taken.reason, taken.entries, taken.outcome) == (Reason.SCHEDULE_CHANGED, (back,), None)
    assert taken.summary.startswith("It was armed and, at Thu 2026-01-01 00:02:54+0000, taken back: the schedule was changed")
    assert one(record, 10, undecided_us=us(10)).summary == "Is due and not decided yet."
    assert one(record, 9, undecided_us=us(10)).summary.startswith("Nothing is recorded of it")
    over = one(record, 9, runs_left=0)
    assert (over.reason, over.outcome) == (Reason.MAX_RUNS, Outcome.SKIPPED)
    ran = Record(schedule=schedule(), executions=[execution(9, **SUCCEEDED)])
    assert one(ran, 8, runs_left=0).reason is Reason.NONE


def test_what_waits_in_a_backlog_is_told_so() -> None:
    daemon, signs, words = away("crashed")
    catch_up = Backfill(
        id=1,
        schedule=NAME,
        schedule_row=1,
        schedule_uid=7,
        start_us=us(2),
        end_us=us(7),
        created_us=us(8),
        next_us=us(3),
        left=9,
        cause=Cause.SCHEDULE,
    )
    others = [replace(catch_up, cause=Cause.BACKFILL), replace(catch_up, next_us=None)]
    record = Record(schedule=schedule(), executions=[execution(2, **SUCCEEDED)], daemon=daemon, signs=signs)
    found = told(record, 2, 7, backlogs=[*others, catch_up])
    waits = "Waits: catch-up works off what was late, oldest first, and is at Thu 2026-01-01 00:03:00+0000"
    assert [each.summary for each in found[1:5]] == [f"{waits}; {words}."] * 4
    assert found[5].summary.startswith("Nothing is recorded of it")
    assert one(replace(record, daemon=()), 4, backlogs=[catch_up]).summary == f"{waits}."


def test_end_of_the_rule_is_told_and_occasions_that_no_clock_knows() -> None:
    once = Record(schedule=schedule(Once(times_us=(us(2),))), executions=[execution(2, **SUCCEEDED)])
    ran, end = told(once, 1, 20)
    assert (ran.count, end.count, end.reason, end.summary) == (1, 0, Reason.ENDED, "No occurrence: the rule yields no further occurrence.")
    delayed = Record(schedule=schedule(AfterCompletion(delay=timedelta(minutes=5))), executions=[execution(5, **SUCCEEDED)])
    ran, occasions = told(delayed, 1, 20)
    assert (ran.count, occasions.count, occasions.predicted, occasions.reason) == (1, 0, True, Reason.NONE)
    assert occasions.summary.startswith("The end of an execution, or a start of the daemon, makes further occurrences")
    assert told(delayed, 6, 10) == ()


def test_instant_without_an_occurrence_is_told_with_the_nearest() -> None:
    found = one(Record(schedule=schedule()), 3.5)
    assert (found.count, found.predicted) == (0, False)
    nearest = "the nearest are Thu 2026-01-01 00:03:00+0000 and Thu 2026-01-01 00:04:00+0000"
    assert found.summary == f"The schedule's rule yields no occurrence at Thu 2026-01-01 00:03:30+0000; {nearest}."
    alone = one(Record(schedule=schedule(Once(times_us=(us(20),)))), 12)
    assert alone.summary.endswith("; the nearest is Thu 2026-01-01 00:20:00+0000.")
    assert alone.predicted
    delayed = one(Record(schedule=schedule(AfterCompletion(delay=timedelta(minutes=5)))), 6)
    assert delayed.summary == "The schedule's rule yields no occurrence at Thu 2026-01-01 00:06:00+0000."


@pytest.mark.parametrize(("new", "words"), [({"new_us": us(4)}, "to Thu 2026-01-01 00:04:00+0000"), ({}, "out of its rule")])
def test_moved_occurrence_is_told_where_it_was(new: dict[str, int], words: str) -> None:
    evidence = {"old_us": us(3.5), "new_version": "2026c", **new}
    moved = Journal().entry(JournalKind.OCCURRENCES_MOVED, 1, reason=Reason.TIME_ZONE_DATA, evidence=evidence)
    found = told(Record(schedule=schedule(), life=[moved]), 3.1, 3.9)
    assert [(each.count, each.reason, each.entries) for each in found] == [(0, Reason.TIME_ZONE_DATA, (moved,))]
    assert found[0].summary == f"New time zone data (2026c) moved the occurrence that was here {words}."
    assert times(told(Record(schedule=schedule(), life=[moved]), 4, 4.5)) == [(4, 4, 1)]


# Calendars and clock changes


def days(*dates: str) -> Calendars:
    calendars = [Calendar(name=f"c{number}", entries=(DateEntry(date=date),)) for number, date in enumerate(dates)]
    return Calendars(days={calendar.name: calendar_days(calendar, lambda entry: ()) for calendar in calendars})


def test_calendars_and_exclusions_are_told_by_name_and_in_stretches() -> None:
    daily = schedule(Cron(text="0 9 * * *"), exclude_calendars=("c0", "c1"), exclusions=(Cron(text="0 9 4 * *"),))
    record = Record(schedule=daily, calendars=days("2026-01-02", "2026-01-03"))
    out, then = told(record, DAY, 5 * DAY, now_us=us(DAY))
    assert (out.count, out.reason, out.outcome, out.predicted) == (3, Reason.EXCLUDED, Outcome.SKIPPED, True)
    assert out.summary == "3 occurrences would not run: an exclusion or a calendar left them out (calendar c0, among others)."
    assert out.evidence == {"calendar": "calendars/c0"}
    assert then.summary == "Would run."
    alone = one(record, 3 * DAY + 540, now_us=us(5 * DAY))
    assert (alone.summary, alone.evidence) == ("Did not run: an exclusion or a calendar left it out.", {})


def test_calendar_that_includes_is_named_and_one_that_was_changed_is_doubted() -> None:
    journal = Journal()
    daily = schedule(Cron(text="0 9 * * *"), include_calendars=("c0",))
    changed = journal.entry(JournalKind.CALENDAR_UPDATED, 1.5 * DAY, evidence={"calendar": "calendars/c0"})
    other = journal.entry(JournalKind.CALENDAR_UPDATED, 1.6 * DAY, evidence={"calendar": "calendars/x"})
    record = Record(schedule=daily, calendars=days("2026-01-03"), daemon=[other, changed])
    now_us = us(9 * DAY)
    out = one(record, DAY + 540, now_us=now_us)
    assert "(calendar c0); that is as the calendar stands now: it was changed at Fri 2026-01-02 12:00:00+0000 by bob" in out.summary
    assert out.entries == (changed,)
    unrecorded = one(replace(record, calendars=days("2026-01-02")), DAY + 540, now_us=now_us)
    assert unrecorded.summary.endswith(
        "; a calendar that it uses was changed at Fri 2026-01-02 12:00:00+0000 by bob, and may have left it out."
    )
    later = one(record, 3 * DAY + 540, now_us=now_us)
    assert (later.reason, later.entries) == (Reason.EXCLUDED, ())


def test_what_was_recorded_as_left_out_needs_no_doubt() -> None:
    journal = Journal()
    daily = schedule(Cron(text="0 9 * * *"), exclude_calendars=("c0",))
    entry = journal.range(DAY + 540, DAY + 540, 1, Reason.EXCLUDED, 1.9 * DAY, calendar="calendars/c0")
    changed = journal.entry(JournalKind.CALENDAR_UPDATED, 1.95 * DAY, evidence={"calendar": "calendars/c0"})
    now_us = us(9 * DAY)
    record = Record(schedule=daily, calendars=days("2026-01-02"), life=[entry], daemon=[changed])
    out = one(record, DAY + 540, now_us=now_us)
    assert (out.reason, out.entries) == (Reason.EXCLUDED, (entry,))
    assert out.summary == "Did not run: an exclusion or a calendar left it out (calendar c0)."
    then = one(replace(record, calendars=days("2026-01-05")), DAY + 540, now_us=now_us)
    assert (then.summary, then.entries) == ("Skipped: an exclusion or a calendar left it out.", (entry,))
    unchanged = one(replace(record, calendars=days("2026-01-05"), daemon=()), DAY + 540, now_us=now_us)
    assert unchanged.summary.startswith("Nothing is recorded of it")


def test_what_a_backfill_left_out_is_told_only_where_nothing_else_is_known() -> None:
    journal = Journal()
    paused = journal.range(2, 3, 2, Reason.PAUSED, 4)
    left = journal.range(1, 6, 6, Reason.OVERLAP, 9, backfill="x")
    found = told(Record(schedule=schedule(), life=[paused, left]), 1, 4)
    assert [each.reason for each in found] == [Reason.NONE, Reason.PAUSED, Reason.NONE]
    changed = journal.entry(JournalKind.SCHEDULE_UPDATED, 9.5, evidence={"fields": "triggers"})
    assert told(Record(schedule=schedule(), life=[left, changed]), 1, 6)[0].entries == (left,)


def test_moved_by_a_calendar_is_told_at_both_ends() -> None:
    second = schedule(Cron(text="0 9 2 * *"), exclude_calendars=("c0",), calendar_shift=CalendarShift.NEXT_DAY)
    away, here = told(Record(schedule=second, calendars=days("2026-01-02")), 1, 4 * DAY, now_us=us(0.5))
    assert (away.reason, away.outcome, away.summary) == (
        Reason.CALENDAR_SHIFTED,
        Outcome.SKIPPED,
        "Would not run: a calendar moved it to another day (calendar c0).",
    )
    assert here.summary == "Would run; a calendar moved it here from another day."


def test_gaps_and_folds_are_told_of_what_runs_and_of_what_does_not() -> None:
    gap, fold = us(66 * DAY + 420), us(304 * DAY + 330)  # 03:00 after the gap of 2026-03-08; the first 01:30 of 2026-11-01
    moved = Record(schedule=schedule(Cron(text="30 2 * * *"), time_zone="America/New_York"))
    assert explain(moved, Present(now_us=T0), Window(first_us=gap, last_us=gap), limit=9)[0].summary == (
        "Would run; its local time does not exist that day, so it runs right after the gap."
    )
    skipped = Record(schedule=schedule(OnCalendar(text="*-*-* 02:30 America/New_York")))
    [out] = explain(skipped, Present(now_us=T0), Window(first_us=gap - 1, last_us=gap + 1), limit=9)
    assert (out.reason, out.first_us, out.outcome) == (Reason.DST_GAP, gap, Outcome.SKIPPED)
    twice = Record(schedule=schedule(Cron(text="30 1 * * *"), time_zone="America/New_York"))
    first, second = explain(twice, Present(now_us=T0), Window(first_us=fold, last_us=fold + 60 * MINUTE), limit=9)
    assert first.summary == "Would run; its local time comes twice that day, and this is the first."
    assert (second.reason, second.first_us) == (Reason.DST_FOLD, fold + 60 * MINUTE)
    stars = Record(schedule=schedule(OnCalendar(text="*-*-* *:0/30 America/New_York")))
    stretch = explain(stars, Present(now_us=T0), Window(first_us=fold, last_us=fold + 90 * MINUTE), limit=9)
    assert [(each.reason, each.count) for each in stretch] == [(Reason.NONE, 1), (Reason.DST_FOLD, 2), (Reason.NONE, 1)]
    intervals = Record(schedule=schedule(Interval(every=timedelta(minutes=30), anchor_us=T0), time_zone="America/New_York"))
    second = explain(intervals, Present(now_us=T0), Window(first_us=fold + 60 * MINUTE, last_us=fold + 60 * MINUTE), limit=9)[0]
    assert second.summary == "Would run; its local time comes twice that day, and this is the second."


# What is to come


RUNNING = execution(10, ExecutionState.RUNNING)
WAITING = execution(10.25, ExecutionState.QUEUED, reason=Reason.OVERLAP)
BLOCKING = f"execution {id_text(RUNNING.id)}"


@pytest.mark.parametrize(
    ("overlap", "words"),
    [
        (Overlap.SKIP, f"; will be skipped if {BLOCKING} is still unfinished then"),
        (Overlap.BUFFER_ONE, f"; will be skipped if {BLOCKING} is still unfinished then, and as many wait for it as now"),
        (Overlap.BUFFER_ALL, f"; will wait if {BLOCKING} is still unfinished then"),
        (Overlap.CANCEL_OTHER, f"; {BLOCKING} will be ended for it, if it is still unfinished then"),
        (Overlap.TERMINATE_OTHER, f"; {BLOCKING} will be ended for it, if it is still unfinished then"),
        (Overlap.ALLOW_ALL, ""),
    ],
)
def test_overlap_to_come_goes_by_the_policy(overlap: Overlap, words: str) -> None:
    record = Record(schedule=schedule(policies=Policies(overlap=overlap)))
    found = one(record, 12, unfinished=[RUNNING, WAITING], undecided_us=us(11))
    assert (found.predicted, found.outcome, found.reason, found.summary) == (True, None, Reason.NONE, f"Would run{words}.")
    assert found.evidence == {"blocking_execution": id_text(RUNNING.id)}


def test_limits_circuits_conditions_and_draining_are_told() -> None:
    condition = CommandHolds(command=ProcessTarget(argv=("true",)))
    record = Record(schedule=schedule(policies=Policies(condition=condition)))
    full = Holdup(reason=Reason.CONCURRENCY, evidence={"limited_by": "global", "limit": 3, "running": 3}, skips=False)
    key = Holdup(reason=Reason.CONCURRENCY, evidence={"limited_by": "key", "key": "db", "limit": 1, "running": 1}, skips=True)
    circuit = Holdup(reason=Reason.CIRCUIT_OPEN, evidence={"host": "h:80", "probe_us": us(11)}, skips=True)
    found = one(record, 12, holdups=[full, key, circuit])
    assert found.summary == (
        "Would run; it will wait if then, as now, the limit of everything is reached (3 of 3 run); "
        "it will be skipped if then, as now, the limit of key db is reached (1 of 1 run); "
        "it will be skipped if then, as now, the circuit breaker of h:80 is open (its next probe is due at Thu 2026-01-01 00:11:00+0000); "
        "its condition is looked at then."
    )
    assert found.evidence["host"] == "h:80"
    drains = one(Record(schedule=schedule()), 12, draining=True)
    assert (drains.reason, drains.predicted) == (Reason.DRAINING, True)


def test_spread_tells_when_it_is_due() -> None:
    spread = schedule(Cron(text="0 9 * * *"), uid=7, spread=Spread(mode=SpreadMode.STABLE, window=timedelta(hours=1)))
    found = one(Record(schedule=spread), 540)
    assert found.summary.startswith("Would run at Thu 2026-01-01 09:")
    assert found.summary.endswith(", after spread.")


@pytest.mark.parametrize(
    ("left", "undecided", "runs"),
    [(2, 11, 2), (0, None, 0), (1, None, 5), (None, 11, 5), (LOOKED_AHEAD + 1, 11, 5), (9, 11, 5)],
)
def test_runs_that_are_left_bound_what_is_to_come(left: int | None, undecided: int | None, runs: int) -> None:
    record = Record(schedule=schedule(policies=Policies(max_runs=5)))
    found = told(record, 11, 15, runs_left=left, undecided_us=None if undecided is None else us(undecided))
    beyond = [(each.reason, each.count) for each in found if each.outcome is Outcome.SKIPPED]
    assert sum(each.summary == "Would run." for each in found) == runs
    assert beyond == ([(Reason.MAX_RUNS, 5 - runs)] if runs < 5 else [])


def test_runs_that_are_left_of_a_rule_that_ends_first_bound_nothing() -> None:
    record = Record(schedule=schedule(Once(times_us=(us(12),)), policies=Policies(max_runs=5)))
    assert one(record, 12, runs_left=3, undecided_us=us(12)).summary == "Would run."


# Words


def test_lengths_and_actors_are_told_as_people_do() -> None:
    assert [span(us) for us in (340_000, 5_000_000, 200_000_000, 3_600_000_000, 187_200_000_000)] == [
        "340 ms",
        "5 s",
        "3 min 20 s",
        "1 h",
        "2 d 4 h",
    ]
    assert [actor(name) for name in ("schedd", "ann", "")] == ["schedd itself", "ann", "nobody known"]
    wording = Wording("America/New_York")
    assert (wording.at(T0 + 500_000), wording.on(T0 + 500_000)) == ("Wed 2025-12-31 19:00:00.5-0500", "Wed 2025-12-31 19:00:00-0500")


# Laws


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A schedule that some of this has happened to within twenty minutes."""
    journal = Journal()
    kinds = [
        JournalKind.SCHEDULE_PAUSED,
        JournalKind.SCHEDULE_RESUMED,
        JournalKind.SCHEDULE_DISABLED,
        JournalKind.SCHEDULE_DELETED,
        JournalKind.SCHEDULE_UNDELETED,
        JournalKind.OCCURRENCES_MISSED,
    ]
    changes = sorted(draw(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(kinds)), max_size=5)), key=lambda each: each[0])
    life = []
    for minute, kind in changes:
        if kind is JournalKind.OCCURRENCES_MISSED:
            first = max(1, int(minute) - 3)
            life.append(journal.range(first, first + 2, 3, Reason.MISFIRE, minute))
        else:
            life.append(journal.entry(kind, minute))
    ran = draw(st.sets(st.integers(1, 25), max_size=6))
    executions = [execution(minute, **SUCCEEDED) for minute in sorted(ran)]
    text = draw(st.sampled_from(["* * * * *", "*/3 * * * *"]))
    kept_us = draw(st.sampled_from([0, us(4.5)]))
    return Record(schedule=schedule(Cron(text=text)), executions=executions, life=life, kept_from_us=kept_us)


@given(records(), st.integers(-3, 20), st.integers(0, 12), st.integers(1, 4))
def test_account_leaves_out_nothing_tells_nothing_twice_and_comes_in_any_pages(record: Record, first: int, length: int, limit: int) -> None:
    window = Window(first_us=us(first), last_us=us(first + length))
    present = Present(now_us=us(NOW), undecided_us=us(11))
    whole = explain(record, present, window, limit=1000)
    assert all(window.first_us <= each.first_us <= each.last_us <= window.last_us for each in whole)
    assert all(before.last_us < after.first_us for before, after in pairwise(whole))
    every = 3 if "/3" in str(record.schedule.when) else 1
    ran = {each.nominal_us for each in record.executions}
    expected = {us(minute) for minute in range(first, first + length + 1) if minute > 0 and minute % every == 0}
    covered = {at for at in expected | ran if any(each.first_us <= at <= each.last_us and each.count for each in whole)}
    assert covered >= {at for at in expected | ran if window.first_us <= at <= window.last_us}
    paged: list[Explanation] = []
    rest = window
    while rest.first_us <= rest.last_us and (page := explain(record, present, rest, limit=limit)):
        paged += page
        rest = Window(first_us=page[-1].last_us + 1, last_us=rest.last_us)
    assert paged == list(whole)
