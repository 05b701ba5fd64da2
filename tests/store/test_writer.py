"""The writer: who waits shares a transaction, and is answered in the order of the commits, a few a turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schedd.core.errors import ScheddError, UnavailableError
from schedd.store import database
from schedd.store.committer import TRANSACTION_ROWS, Operation
from schedd.store.transaction import Transaction
from schedd.store.writer import Writer

MANY = 50


class Groups:
    """An operation that gives back what it is asked for, and notes who shared a transaction."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.operation: Operation[int, int] = Operation(run=self._run)

    def _run(self, transaction: Transaction, items: Sequence[int]) -> Sequence[int | ScheddError]:
        self.seen.append(list(items))
        return list(items)


@asynccontextmanager
async def writing(tmp_path: Path) -> AsyncIterator[Writer]:
    writer = Writer(database.open_for_writing(tmp_path / "s.db"))
    try:
        yield writer
    finally:
        await writer.aclose()


async def test_callers_are_answered_in_the_order_of_their_calls(tmp_path: Path) -> None:
    groups, answered = Groups(), list[int]()

    async def ask(writer: Writer, number: int) -> None:
        answered.append(await writer.submit(groups.operation, number, rows=1))

    async with writing(tmp_path) as writer:
        await asyncio.gather(*(ask(writer, number) for number in range(MANY)))
    assert answered == list(range(MANY))
    assert [number for group in groups.seen for number in group] == list(range(MANY))


async def test_callers_of_one_transaction_go_on_in_several_turns_of_the_loop(tmp_path: Path) -> None:
    groups, turn, answered_in = Groups(), 0, list[int]()
    loop = asyncio.get_running_loop()

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    async def ask(writer: Writer, number: int) -> None:
        await writer.submit(groups.operation, number, rows=1)
        answered_in.append(turn)

    async with writing(tmp_path) as writer:
        loop.call_soon(count)
        await asyncio.gather(*(ask(writer, number) for number in range(MANY)))
    assert max(answered_in.count(each) for each in answered_in) <= 8  # Two transactions may be told of in one turn.


async def test_transaction_has_no_more_than_its_rows_however_many_wait(tmp_path: Path) -> None:
    groups = Groups()
    async with writing(tmp_path) as writer:
        await asyncio.gather(*(writer.submit(groups.operation, number, rows=TRANSACTION_ROWS // 2) for number in range(MANY)))
    assert max(map(len, groups.seen)) == 2
    assert len(groups.seen) >= MANY // 2


async def test_everybody_is_answered_before_the_writer_has_closed_and_nobody_is_let_in_after(tmp_path: Path) -> None:
    groups = Groups()
    async with writing(tmp_path) as writer:
        waiting = [asyncio.ensure_future(writer.submit(groups.operation, number, rows=1)) for number in range(MANY)]
        await asyncio.sleep(0)
    assert [each.done() for each in waiting] == [True] * MANY
    assert await asyncio.gather(*waiting) == list(range(MANY))
    with pytest.raises(UnavailableError):
        await writer.submit(groups.operation, 1, rows=1)
