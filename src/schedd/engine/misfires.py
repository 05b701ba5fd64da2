"""Misfires: what is armed, and has waited for longer past its due time than its schedule's grace."""

from __future__ import annotations

import structlog

from schedd.core.model.execution import Cause, ExecutionState, id_text
from schedd.core.model.policy import CatchUpMode
from schedd.core.model.reason import Reason
from schedd.core.planning import misfire_reason
from schedd.engine.runs import Run

log = structlog.get_logger(__name__)


def misfire_of(run: Run, now_us: int) -> Reason | None:
    """Why a run that is armed for its rule's instant and has not started is not run any more; None: it is not that, or it is run.

    It is a misfire if it is late by more than its grace, and goes by the catch-up policy. What was taken up late already is away from then
    on; where the policy runs all misfires it goes on, as the rest of its range does. What somebody asked for is run however late it is.
    """
    execution, policy = run.execution, run.definition.schedule.policies.catch_up
    taken_up = execution.origin is not None or (run.background and policy.mode is CatchUpMode.ALL)
    if run.state is not ExecutionState.ARMED or execution.cause is not Cause.SCHEDULE or taken_up:
        return None
    since_us = max(execution.due_us, execution.armed_us)
    try:
        return misfire_reason(run.definition.rule, policy, nominal_us=execution.nominal_us, due_us=since_us, now_us=now_us)
    except (
        Exception
    ):  # Its planning will find the same, and disable its schedule: that must keep neither a start nor the others from going on.
        log.exception("misfire_not_decided", schedule=str(execution.schedule), execution=id_text(run.id))
        return None
