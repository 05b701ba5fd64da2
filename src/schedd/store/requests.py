"""Request marks: the answers of calls that may be repeated, kept for a day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schedd.core.errors import ConflictError, ScheddError
from schedd.core.model.batch import Answer, RequestMark
from schedd.store import codec
from schedd.store.committer import Operation
from schedd.store.reader import Reader
from schedd.store.statements import Row, insertion
from schedd.store.transaction import Transaction

_INSERT = insertion("requests", ("scope", "request_id", "fingerprint", "answer", "time_us"))
_KNOWN = """
    SELECT requests.scope, requests.request_id, requests.fingerprint, requests.answer
    FROM json_each(?) AS wanted
    CROSS JOIN requests ON requests.scope = json_extract(wanted.value, '$[0]') AND requests.request_id = json_extract(wanted.value, '$[1]')
"""


@dataclass(slots=True, kw_only=True)
class Requests:
    """The marks that a transaction's calls carry: those that are stored, and those that it adds."""

    known: dict[tuple[str, str], tuple[str, Answer]] = field(default_factory=dict)
    added: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, transaction: Transaction, marks: Iterable[RequestMark | None]) -> Requests:
        """What is stored of these marks."""
        wanted = [(mark.scope, mark.request_id) for mark in marks if mark is not None]
        return cls(known=_known(transaction.connection.execute(_KNOWN, (codec.encode(wanted),)))) if wanted else cls()

    def answer(self, mark: RequestMark | None) -> Answer | ConflictError | None:
        """The first call's answer, the conflict if that call was another one, or None for a first call."""
        seen = None if mark is None else self.known.get((mark.scope, mark.request_id))
        if mark is None or seen is None:
            return None
        fingerprint, answer = seen
        if fingerprint == mark.fingerprint:
            return answer
        description = "was used for another request; a new request needs a new id"
        return ConflictError("request", mark.request_id, reason="REQUEST_ID_REUSED", description=description)

    def add(self, mark: RequestMark | None, answer: Answer, *, time_us: int) -> None:
        """Keep the answer of a first call."""
        if mark is not None:
            self.known[mark.scope, mark.request_id] = (mark.fingerprint, answer)
            self.added.append((mark.scope, mark.request_id, mark.fingerprint, codec.encode(answer), time_us))

    def write(self, transaction: Transaction) -> None:
        """Store what was added."""
        _INSERT.run(transaction.connection, self.added)


def _known(found: Iterable[Any]) -> dict[tuple[str, str], tuple[str, Answer]]:
    return {(scope, request_id): (fingerprint, codec.decode_answer(text)) for scope, request_id, fingerprint, text in found}


async def answered(reader: Reader, mark: RequestMark) -> Answer | None:
    """The answer of an earlier call with this mark; None if there was none. Raises: ConflictError."""
    found = await reader.all(_KNOWN, (codec.encode([(mark.scope, mark.request_id)]),))
    answer = Requests(known=_known(found)).answer(mark)
    if isinstance(answer, ConflictError):
        raise answer
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """An answer to be kept by itself, with no change beside it."""

    request: RequestMark
    answer: Answer
    time_us: int


def _keep(transaction: Transaction, keepings: Sequence[Keeping]) -> Sequence[Answer | ScheddError]:
    requests = Requests.of(transaction, (keeping.request for keeping in keepings))
    answers: list[Answer | ScheddError] = []
    for keeping in keepings:
        first = requests.answer(keeping.request)
        if first is None:
            requests.add(keeping.request, keeping.answer, time_us=keeping.time_us)
        answers.append(keeping.answer if first is None else first)
    requests.write(transaction)
    return answers


KEEP: Operation[Keeping, Answer] = Operation(run=_keep)
