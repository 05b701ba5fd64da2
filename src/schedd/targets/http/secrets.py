"""Secrets that the operator configured: read from their files when they are used, kept only while the files stay as they are.

A secret is never written anywhere: whoever shows what was sent, or what came back, has `***` in its place.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from schedd.core.model.execution import AttemptResult
from schedd.core.model.rendering import HIDDEN
from schedd.core.model.target import AuthScheme, HttpAuth

SECRET_MOST_BYTES = 16 * 1024

_TELLING_BYTES = 4
"""So much of the beginning of a secret is no chance."""
_TRANSIENT = frozenset((errno.EAGAIN, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE))
"""What goes by itself; a file that is missing, or closed to the daemon, stays so."""


class SecretError(Exception):
    """A secret cannot be had; the text says why, and never what is in it. `transient`: another try may find it."""

    def __init__(self, text: str, *, transient: bool = False) -> None:
        super().__init__(text)
        self.transient = transient

    @property
    def retry_after(self) -> timedelta | None:
        """When to try again: at once where that makes sense, else never."""
        return timedelta(0) if self.transient else None


class Credentials(NamedTuple):
    """What goes out with a request, and the texts that must not be seen anywhere else."""

    authorization: str
    hidden: tuple[str, ...]


NO_CREDENTIALS = Credentials("", ())


class _Read(NamedTuple):
    """A secret, and by what its file is known again: device, inode, size, times of the last change of content and of rights."""

    mark: tuple[int, ...]
    text: str


class SecretFiles:
    """Secrets by name, each the one line of a file. The files are looked at each time: a secret is changed by writing its file."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._read: dict[str, _Read] = {}

    def text(self, name: str) -> str:
        """The secret of that name, without the white space around it. Raises: SecretError."""
        path = self._files.get(name)
        if path is None:
            raise SecretError(f"there is no secret {name} in [secrets] of the daemon's configuration")
        try:
            return self._text(name, path)
        except OSError as error:
            text = f"the secret {name} cannot be read: {path}: {error.strerror}"
            raise SecretError(text, transient=error.errno in _TRANSIENT) from error

    def _text(self, name: str, path: Path) -> str:
        status = path.stat()
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._read.get(name)
        if known is None or known.mark != mark:
            known = self._read[name] = _Read(mark, read_secret(name, path))
        return known.text

    def credentials(self, auth: HttpAuth) -> Credentials:
        """What a request with that auth carries. Raises: SecretError."""
        text = self.text(auth.secret)
        if auth.scheme is AuthScheme.BEARER:
            if not text.isascii() or " " in text:
                raise SecretError(f"the secret {auth.secret} is no bearer token: it has a space, or characters outside of ASCII")
            return Credentials(f"Bearer {text}", (text,))
        encoded = b64encode(f"{auth.username}:{text}".encode()).decode()
        return Credentials(f"Basic {encoded}", (encoded, text))


def read_secret(name: str, path: Path) -> str:
    """The one line of a secret's file. Raises: SecretError; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # Whoever opens a pipe would wait for its writer.
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SecretError(f"the secret {name} is not in a file: {path}")
        if mode & stat.S_IRWXO:
            raise SecretError(f"the secret {name} is open to everybody on this host: chmod o-rwx {path}")
        content = file.read(SECRET_MOST_BYTES + 1)
    if len(content) > SECRET_MOST_BYTES:
        raise SecretError(f"the secret {name} is longer than {SECRET_MOST_BYTES} bytes: {path}")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError as error:
        raise SecretError(f"the secret {name} is not UTF-8 text: {path}") from error.with_traceback(None)
    if not text:
        raise SecretError(f"the secret {name} is empty: {path}", transient=True)  # As while it is being written.
    if not text.isprintable():
        raise SecretError(f"the secret {name} is not one line of printable characters: {path}")
    return text


def without(hidden: tuple[str, ...], result: AttemptResult) -> AttemptResult:
    """The result with `***` where a server has sent back what nobody is to see; in messages in any case: hosts lose their capitals."""
    message, output = result.message, result.output
    for text in hidden:
        message = re.sub(re.escape(text), HIDDEN, message, flags=re.IGNORECASE)
        output = output.replace(text.encode(), HIDDEN.encode())
    if result.output_truncated:
        output = _without_beginning(hidden, output)
    return result._replace(message=message, output=output)


def _without_beginning(hidden: tuple[str, ...], output: bytes) -> bytes:
    """The output without the beginning of a text that its limit has cut in two."""
    for text in map(str.encode, hidden):
        for length in range(min(len(text), len(output)), _TELLING_BYTES - 1, -1):
            if output.endswith(text[:length]):
                return output[:-length] + HIDDEN.encode()
    return output
