"""One daemon on one database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schedd.daemon.errors import LockedError, StartError
from schedd.daemon.lock import DataLock

HOLD = """
import sys
from pathlib import Path
from schedd.daemon.lock import DataLock
DataLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_held_by_another_process_is_refused_and_names_its_pid(tmp_path: Path) -> None:
    database = tmp_path / "schedd.db"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"process {holder.pid} holds") as caught:
            DataLock(database).acquire()
        assert caught.value.pid == holder.pid
        assert caught.value.exit_status == 1
        holder.kill()
        holder.communicate()
    with DataLock(database) as lock:
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_lock_after_release_is_free_and_names_nobody(tmp_path: Path) -> None:
    database = tmp_path / "data/schedd.db"
    first = DataLock(database)
    first.acquire()
    first.release()
    first.release()
    assert first.path.read_text() == ""
    DataLock(database).acquire()


def test_lock_held_twice_in_one_process_is_refused(tmp_path: Path) -> None:
    with DataLock(tmp_path / "schedd.db"), pytest.raises(LockedError):
        DataLock(tmp_path / "schedd.db").acquire()


def test_lock_where_no_directory_can_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"cannot make .*schedd\.db\.lock: Not a directory; give storage\.path"):
        DataLock(tmp_path / "file" / "data" / "schedd.db").acquire()


def test_lock_is_not_inherited_by_children(tmp_path: Path) -> None:
    with DataLock(tmp_path / "schedd.db") as lock:
        script = "print('started', flush=True); input()"
        child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
        lock.release()
        with DataLock(tmp_path / "schedd.db"):
            child.communicate(b"\n")
