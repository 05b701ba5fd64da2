"""Explaining: from what is stored of a schedule, and how it stands now, to what happened or would happen to each of its occurrences."""

from __future__ import annotations

from schedd.core.explaining.account import explain
from schedd.core.explaining.record import Holdup, Present, Record, Window

__all__ = ["Holdup", "Present", "Record", "Window", "explain"]
