"""The ids that the daemon gives keep the port's contract."""

from __future__ import annotations

from schedd.core.ports import Clock, Ids
from schedd.engine.ids import TimeIds
from tests.conformance.ids import IdsSuite


class TestTimeIds(IdsSuite):
    def make(self, clock: Clock, last: int) -> Ids:
        return TimeIds(clock, last=last)
