"""The bearer tokens that are in force while the daemon runs."""

from __future__ import annotations

from pathlib import Path

from schedd.daemon.composition import Tokens

TOKEN = "0123456789abcdef"


def test_tokens_follow_their_files_and_let_nobody_in_by_a_broken_one(tmp_path: Path) -> None:
    right, short, gone = tmp_path / "right", tmp_path / "short", tmp_path / "gone"
    right.write_text(TOKEN + "\n")
    short.write_text(TOKEN[:-1])
    tokens = Tokens((right, short, gone))
    assert tokens() == [TOKEN]
    right.unlink()
    short.write_text(TOKEN)
    assert tokens() == [TOKEN]
    short.write_text("")
    assert tokens() == []
