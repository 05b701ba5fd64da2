"""The client for code without an event loop. Any number of threads may use one at the same time."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from functools import wraps
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

import grpc

from schedd.client import calls
from schedd.client.address import Address, discover, parse_address
from schedd.client.calls import Call, Listing
from schedd.client.channels import Credentials, blocking_channel
from schedd.client.errors import CallError, UnavailableError
from schedd.client.patience import Attempts, Patience
from schedd.client.progress import WatchProgress
from schedd.client.status import error_of
from schedd.v1.execution_pb2 import Execution, ExecutionState
from schedd.v1.execution_service_pb2_grpc import ExecutionServiceStub
from schedd.v1.journal_pb2 import JournalEntry, JournalKind

Answer = TypeVar("Answer")
Item = TypeVar("Item")
P = ParamSpec("P")


def _calling(build: Callable[P, Call[Answer]]) -> Callable[Concatenate[SyncClient, P], Answer]:
    @wraps(build)
    def method(client: SyncClient, /, *arguments: P.args, **named: P.kwargs) -> Answer:
        return client.call(build(*arguments, **named))

    return method


def _listing(build: Callable[P, Listing[Item]]) -> Callable[Concatenate[SyncClient, P], Iterator[Item]]:
    @wraps(build)
    def method(client: SyncClient, /, *arguments: P.args, **named: P.kwargs) -> Iterator[Item]:
        listing = build(*arguments, **named)
        token, more = "", True
        while more:
            answer = client.call(listing.page(token))
            yield from listing.items(answer)
            token = answer.next_page_token
            more = bool(token)

    return method


class SyncClient:
    """Talks to one schedd. Its methods are those of `schedd.client.calls`, as `Client` has them.

    Without an address it looks for the daemon of this machine (`discover`). `timeout` bounds each call with all of its attempts. Close
    it, or use it with `with`. Raises (any call): CallError, one of its kinds.
    """

    def __init__(
        self,
        address: Address | str | None = None,
        *,
        credentials: Credentials | None = None,
        timeout: timedelta = timedelta(seconds=10),
        patience: Patience | None = None,
    ) -> None:
        self.address = discover() if address is None else parse_address(address) if isinstance(address, str) else address
        self._timeout = timeout
        self._patience = patience or Patience()
        self._credentials = credentials or Credentials()
        self._channel = blocking_channel(self.address, self._credentials)
        self._closed = Event()

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; calls and watches that are under way are cancelled."""
        self._closed.set()
        self._channel.close()

    create_schedule = _calling(calls.create_schedule)
    create_schedules = _calling(calls.create_schedules)
    get_schedule = _calling(calls.get_schedule)
    list_schedules = _listing(calls.list_schedules)
    update_schedule = _calling(calls.update_schedule)
    delete_schedule = _calling(calls.delete_schedule)
    undelete_schedule = _calling(calls.undelete_schedule)
    pause_schedule = _calling(calls.pause_schedule)
    resume_schedule = _calling(calls.resume_schedule)
    trigger_schedule = _calling(calls.trigger_schedule)
    backfill_schedule = _calling(calls.backfill_schedule)
    get_backfill = _calling(calls.get_backfill)
    list_backfills = _listing(calls.list_backfills)
    cancel_backfill = _calling(calls.cancel_backfill)
    preview_schedule = _calling(calls.preview_schedule)
    operate_schedules = _calling(calls.operate_schedules)
    get_execution = _calling(calls.get_execution)
    list_executions = _listing(calls.list_executions)
    cancel_execution = _calling(calls.cancel_execution)
    redeliver_execution = _calling(calls.redeliver_execution)
    explain_occurrences = _listing(calls.explain_occurrences)
    list_dead_letters = _listing(calls.list_dead_letters)
    redeliver_dead_letters = _calling(calls.redeliver_dead_letters)
    purge_dead_letters = _calling(calls.purge_dead_letters)
    create_calendar = _calling(calls.create_calendar)
    get_calendar = _calling(calls.get_calendar)
    list_calendars = _listing(calls.list_calendars)
    update_calendar = _calling(calls.update_calendar)
    delete_calendar = _calling(calls.delete_calendar)
    get_status = _calling(calls.get_status)
    list_journal = _listing(calls.list_journal)
    check_health = _calling(calls.check_health)

    def call(self, call: Call[Answer]) -> Answer:
        """Make one logical call: its attempts share a deadline and, if it has one, a request id."""
        attempts = Attempts(patience=self._patience, deadline=monotonic() + self._timeout.total_seconds())
        method = getattr(call.method.stub(self._channel), call.method.name)
        metadata = self._credentials.metadata()
        while True:
            try:
                answer: Answer = method(call.request, timeout=attempts.remaining_s(monotonic()), metadata=metadata)
                return answer
            except grpc.RpcError as failure:
                error = error_of(failure)
                wait = attempts.wait_after(error, monotonic(), random.random()) if call.repeatable else None
                if wait is None:
                    raise error from failure
            self._closed.wait(wait)

    def watch(
        self,
        *,
        filter: str = "",
        after: int | None = None,
        kinds: Sequence[JournalKind.ValueType] = (),
        on_break: Callable[[CallError], None] | None = None,
    ) -> Generator[JournalEntry, None, None]:
        """What happens to executions and schedules, as it is committed, without an end; see `Client.watch`."""
        progress = WatchProgress(filter, tuple(kinds), after, self._patience)
        while not self._closed.is_set():
            error: CallError | None = None
            stream = ExecutionServiceStub(self._channel).WatchExecutions(progress.request(), metadata=self._credentials.metadata())
            try:
                for answer in stream:
                    yield from progress.accept(answer)
            except grpc.RpcError as failure:
                error = error_of(failure)
                if self._closed.is_set():
                    return
            finally:
                stream.cancel()
            wait = progress.wait_after(error, random.random())
            if wait is None:
                raise error or UnavailableError(calls.ENDED)
            if error is not None and on_break is not None and progress.was_connected:
                on_break(error)
            self._closed.wait(wait)

    def wait_execution(self, name: str) -> Execution:
        """The execution of that name once it has finished, with its attempts. Waits without an end of its own."""
        sequence = self.get_status().store.last_sequence
        execution = self.get_execution(name)
        if execution.state != ExecutionState.EXECUTION_STATE_FINISHED:
            with closing(self._watch_end(name, sequence)) as ends:
                next(ends)
            execution = self.get_execution(name)
        return execution

    def _watch_end(self, name: str, after: int) -> Generator[JournalEntry, None, None]:
        return self.watch(filter=calls.of_execution(name), after=after, kinds=[JournalKind.JOURNAL_KIND_EXECUTION_FINISHED])
