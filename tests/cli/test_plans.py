"""Plans of `apply` that are carried out after the server has moved on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from schedd.cli.plans import Action, carry_out, plan
from schedd.client import SyncClient
from schedd.client.errors import ConflictError, NotFoundError
from schedd.v1.schedule_pb2 import Schedule
from tests.daemons import RealDaemon

NAME = "groups/default/schedules/moving"


@pytest.fixture
def client(daemon: RealDaemon) -> Iterator[SyncClient]:
    with SyncClient(daemon.socket, timeout=timedelta(seconds=20)) as connected:
        yield connected
        connected.delete_schedule(NAME, allow_missing=True)


def create(client: SyncClient) -> None:
    moving = Schedule(name=NAME, labels={"app": "moving"})
    moving.triggers.add(expression="@yearly")
    moving.target.process.argv.append("/bin/true")
    client.create_schedule(moving)


def test_plan_goes_on_where_the_daemon_alone_has_moved_a_schedule_on(client: SyncClient) -> None:
    create(client)
    steps = plan(client, [], "labels.app = moving")
    client.pause_schedule(NAME)  # Another standing, the same definition: as when the daemon completes it.
    assert [(step.action, step.name) for step in carry_out(client, steps)] == [(Action.DELETE, NAME)]
    with pytest.raises(NotFoundError):
        client.delete_schedule(NAME)


def test_plan_is_refused_where_somebody_has_changed_the_definition(client: SyncClient) -> None:
    create(client)
    steps = plan(client, [], "labels.app = moving")
    client.update_schedule(Schedule(name=NAME, description="mine"), update_mask=["description"])
    with pytest.raises(ConflictError):
        list(carry_out(client, steps))
    assert client.get_schedule(NAME).description == "mine"
