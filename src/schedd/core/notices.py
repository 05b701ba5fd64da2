"""What a notice sends: the execution that has ended, as JSON in the words of the API's message `Execution`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from schedd.core.model.execution import Attempt, Cause, Execution, id_text, instant_text
from schedd.core.model.target import HttpTarget, Payload

_KEY_HEADERS: Final = ("Schedd-Delivery-Key", "Idempotency-Key")


def notice_target(target: HttpTarget, follow_up: str, execution: Execution, last: Attempt | None) -> HttpTarget:
    """The target as it is called: with the execution as payload unless it has its own, and with a delivery key of its own.

    The key is the execution's followed by `/on_failure[0]/3`, the follow-up and the number of the attempt that was the last: a target that
    deduplicates takes a notice neither for the execution's delivery nor for the notice of a redelivery's end.
    """
    own = {name.lower() for name, _ in target.headers}
    key = f"{{{{ delivery_key }}}}/{follow_up}/{{{{ attempt }}}}"
    keys = tuple((name, key) for name in _KEY_HEADERS if name.lower() not in own)
    payload = target.payload if target.payload.content else Payload(content=execution_json(execution, last), template=False)
    return replace(target, headers=(*keys, *target.headers), payload=payload)


def execution_json(execution: Execution, last: Attempt | None) -> bytes:
    """A finished execution with its last attempt, if that is known, without its output."""
    facts: dict[str, Any] = {
        "name": _name(str(execution.schedule), execution.id),
        "schedule": str(execution.schedule),
        "schedule_uid": id_text(execution.schedule_uid),
        "generation": execution.generation,
        "cause": f"CAUSE_{execution.cause}",
        "state": f"EXECUTION_STATE_{execution.state}",
        "outcome": f"OUTCOME_{execution.outcome}",
        "reason": f"REASON_{execution.reason}",
        "nominal_time": instant_text(execution.nominal_us),
        "due_time": instant_text(execution.due_us),
        "arm_time": instant_text(execution.armed_us),
        "attempt": execution.attempt,
        "delivery_key": execution.delivery_key,
    }
    facts |= _times(start_time=execution.started_us, finish_time=execution.finished_us)
    origin = execution.origin
    if origin is not None and origin.parent is not None:
        facts["parent_execution"] = _name(str(origin.parent.schedule), origin.parent.id)
    elif origin is not None and execution.cause is Cause.MANUAL:
        facts["actor"] = origin.actor
    if last is not None:
        facts["attempts"] = [_attempt(last)]
    return json.dumps(facts, ensure_ascii=False).encode()


def _attempt(attempt: Attempt) -> Mapping[str, Any]:
    result = attempt.result
    facts: dict[str, Any] = {
        "number": attempt.number,
        **_times(start_time=attempt.started_us, finish_time=attempt.finished_us),
        "outcome": f"OUTCOME_{result.outcome}",
        "reason": f"REASON_{result.reason}",
    }
    if result.code is not None:
        facts["code"] = result.code
    if result.message:
        facts["message"] = result.message
    return facts


def _times(**instants: int | None) -> dict[str, str]:
    return {name: instant_text(at_us) for name, at_us in instants.items() if at_us is not None}


def _name(schedule: str, execution_id: int) -> str:
    return f"{schedule}/executions/{id_text(execution_id)}"
