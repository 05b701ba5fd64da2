"""Ids, delivery keys and errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedd.core.ports
from schedd.core import errors
from schedd.core.model.batch import RecordBatch, Timers
from schedd.core.model.execution import Cause, Execution, delivery_key, id_text, id_value
from schedd.core.model.query import Comparison, Operator
from schedd.core.model.rendering import HIDDEN, without_secret
from schedd.core.model.schedule import Schedule, ScheduleName, ScheduleState
from schedd.core.model.target import ProcessTarget
from schedd.core.model.unreadable import UnreadableSchedule
from schedd.core.model.when import Expression, When

IDS = st.integers(1, 2**63 - 1)


@given(IDS)
def test_id_text_reads_back(value: int) -> None:
    assert id_value(id_text(value)) == value


@given(IDS, IDS)
def test_id_text_sorts_as_the_number_does(one: int, other: int) -> None:
    assert (id_text(one) < id_text(other)) == (one < other)


@pytest.mark.parametrize("text", ["", "0", "8000000000000", "000000000000i", "00000000000000"])
def test_id_value_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        id_value(text)


@pytest.mark.parametrize(("value", "text"), [(1, "0000000000001"), (2**63 - 1, "7zzzzzzzzzzzz"), (2**60 + 31, "100000000000z")])
def test_id_text_is_crockfords_base_32(value: int, text: str) -> None:
    assert id_text(value) == text
    assert id_value(text) == value


def test_delivery_key_has_microseconds_only_where_there_are_some() -> None:
    assert delivery_key(1, 1_700_000_000_000_000) == "0000000000001:2023-11-14T22:13:20Z"
    assert delivery_key(1, 1_700_000_000_123_456) == "0000000000001:2023-11-14T22:13:20.123456Z"


def test_delivery_key_of_a_backfills_execution_is_its_own() -> None:
    assert delivery_key(1, 1_700_000_000_000_000, 33) == "0000000000001:2023-11-14T22:13:20Z/0000000000011"


def test_delivery_key_of_an_execution_is_that_of_its_occurrence() -> None:
    execution = Execution(
        id=9,
        schedule=ScheduleName(group="g", schedule="s"),
        schedule_row=1,
        schedule_uid=7,
        generation=1,
        cause=Cause.SCHEDULE,
        nominal_us=1_700_000_000_000_000,
        due_us=1_700_000_000_000_000,
        armed_us=0,
    )
    assert execution.delivery_key == delivery_key(7, 1_700_000_000_000_000)


def test_empty_batches_and_timers_hold_nothing() -> None:
    assert RecordBatch() == RecordBatch(changes=(), attempts=(), entries=(), disarmed=())
    assert len(Timers()) == 0
    assert Comparison(field="state", operator=Operator("="), value="PAUSED").operator is Operator.EQUAL
    assert schedd.core.ports.Store.__doc__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NotFoundError("schedule", "groups/g/schedules/s"), "schedule groups/g/schedules/s: not found"),
        (errors.AlreadyExistsError("schedule", "n"), "schedule n: already exists"),
        (errors.ConflictError("schedule", "n", reason="ETAG_MISMATCH", description="has changed"), "schedule n: has changed"),
        (errors.PreconditionError("schedule", "n", reason="NOT_PAUSED", description="is running"), "schedule n: is running"),
        (errors.QuotaError(subject="ann", limit=1000, description="too many schedules"), "ann: too many schedules"),
        (errors.ExpiredError(reason="SEQUENCE_EXPIRED", description="too old"), "too old"),
        (errors.ResumableError(sequence=5, reason="WATCHER_TOO_SLOW", description="too slow"), "too slow"),
        (errors.UnavailableError(reason="DRAINING", description="on its way down"), "on its way down"),
        (errors.StoredDataError("schedules", 3, "not JSON"), "schedules row 3: not JSON"),
        (errors.InvalidError((errors.FieldViolation(field="a", reason="R", description="wrong"),)), "a: wrong"),
    ],
)
def test_errors_say_what_they_are_about(error: errors.ScheddError, text: str) -> None:
    assert str(error) == text
    assert isinstance(error, errors.ScheddError)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("Authorization", True), ("Cookie", True), ("X-Api-Key", True), ("DB_PASSWORD", True), ("Accept", False), ("PATH", False)],
)
def test_value_of_what_is_named_like_a_credential_is_hidden(name: str, hidden: bool) -> None:
    assert without_secret(name, "value") == (HIDDEN if hidden else "value")


def test_unreadable_schedule_replaced_is_the_same_resource_with_the_new_definition_and_enabled() -> None:
    name = ScheduleName(group="g", schedule="s")
    broken = UnreadableSchedule(
        name=name,
        row=3,
        uid=7,
        generation=2,
        state=ScheduleState.DISABLED,
        state_reason="damaged",
        quarantined=True,
        when=None,
        target=None,
        policies=None,
        pause=None,
        labels={"old": "x"},
        description="old",
        creator="somebody",
        created_us=1,
        updated_us=2,
        deleted_us=None,
        planned_from_us=4,
    )
    definition = Schedule(name=name, when=When(triggers=(Expression(text="@daily"),)), target=ProcessTarget(argv=("true",)))
    assert broken.replaced(definition) == replace(
        definition, row=3, uid=7, generation=2, creator="somebody", created_us=1, updated_us=2, planned_from_us=4
    )
