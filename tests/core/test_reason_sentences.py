"""Every reason has its sentence."""

from __future__ import annotations

from schedd.core.model.reason import Reason
from schedd.core.reason_sentences import SENTENCES


def test_sentences_of_all_reasons_cover_each_once() -> None:
    assert set(SENTENCES) == set(Reason)
    assert len(set(SENTENCES.values())) == len(Reason)


def test_sentences_are_whole_sentences() -> None:
    assert [reason for reason, text in SENTENCES.items() if not (text[0].isupper() and text.endswith(".") and "\n" not in text)] == []
