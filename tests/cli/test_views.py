"""What schedctl says of one schedule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.duration_pb2 import Duration

from schedd.cli.views import schedule_lines
from schedd.v1.schedule_pb2 import Schedule
from schedd.v1.target_pb2 import BasicAuth, BearerAuth, HttpAuth, HttpTarget, ProcessTarget, ResourceLimits, SecretReference, Target

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = SecretReference(name="pager")


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (Target(http=HttpTarget(auth=HttpAuth(bearer=BearerAuth(token=SECRET)))), "bearer token, secret pager"),
        (Target(http=HttpTarget(auth=HttpAuth(basic=BasicAuth(username="me", password=SECRET)))), "user me, secret pager"),
        (
            Target(process=ProcessTarget(resource_limits=ResourceLimits(cpu_time=Duration(seconds=90), core_size_bytes=0))),
            "cpu_time 1m30s, core_size_bytes 0",
        ),
    ],
)
def test_schedule_tells_the_credentials_and_the_limits_of_its_target(target: Target, line: str) -> None:
    labelled = [text for text in schedule_lines(Schedule(target=target), NOW) if text.startswith(("Credentials", "Limits"))]
    assert [text.split(maxsplit=1)[1] for text in labelled] == [line]


@pytest.mark.parametrize("target", [Target(http=HttpTarget(url="http://x/")), Target(process=ProcessTarget(argv=["true"]))])
def test_schedule_without_credentials_and_limits_says_nothing_of_them(target: Target) -> None:
    assert not [text for text in schedule_lines(Schedule(target=target), NOW) if text.startswith(("Credentials", "Limits"))]
