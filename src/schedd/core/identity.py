"""Many schedules share parts of their definitions, as the same objects: what is found out about one is kept by its identity.

By value it would be kept as well, but a hash of a whole definition costs about as much as what it saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from schedd.core.weight import is_light

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class ByIdentity(Generic[Asked, Answer]):
    """A pure function of immutable objects that answers once for each of them, as long as it has not been asked about `capacity` others.

    What was asked about lives on as long as its answer. What is heavy is answered about anew each time.
    """

    __slots__ = ("_answers", "_capacity", "_find")

    def __init__(self, find: Callable[[Asked], Answer], *, capacity: int) -> None:
        self._find = find
        self._capacity = capacity
        self._answers: dict[int, tuple[Asked, Answer]] = {}

    def __call__(self, asked: Asked) -> Answer:
        """What the function gives, or raises; what it raises is not kept."""
        kept = self._answers.get(id(asked))
        if kept is not None:
            return kept[1]
        answer = self._find(asked)
        if not is_light(asked):
            return answer
        if len(self._answers) >= self._capacity:
            self._answers.clear()
        self._answers[id(asked)] = (asked, answer)
        return answer

    def cache_clear(self) -> None:
        """Forget all answers."""
        self._answers.clear()
