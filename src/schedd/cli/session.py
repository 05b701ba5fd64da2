"""What a command gets from the options that all commands share: the server, the output, and whether to ask."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from schedd.cli.contexts import Context, contexts_path, load_contexts
from schedd.cli.failures import CommandError
from schedd.cli.output import Format, Output
from schedd.client.address import SERVER_VARIABLE, TOKEN_VARIABLE, Address, discover, parse_address
from schedd.client.errors import AddressError

if TYPE_CHECKING:
    from schedd.client import SyncClient


@dataclass(kw_only=True)
class Session:
    """One run of schedctl. The options fill it in while the command line is read; nothing is read or dialled before it is needed."""

    server: str = ""
    context: str = ""
    timeout: timedelta = timedelta(seconds=10)
    format: Format = Format.TABLE
    quiet: bool = False
    verbose: bool = False
    yes: bool = False

    @property
    def out(self) -> Output:
        """Where to print."""
        return Output(format=self.format, quiet=self.quiet, verbose=self.verbose)

    @cached_property
    def chosen(self) -> Context:
        """The context in force: --server alone, else --context, $SCHEDD_SERVER, the current context, else this machine's daemon."""
        if self.server:
            return Context(server=self.server)
        if self.context:
            return load_contexts(contexts_path()).get(self.context)
        if not os.environ.get(SERVER_VARIABLE):
            contexts = load_contexts(contexts_path())
            if contexts.current:
                return contexts.get(contexts.current)
        return Context(server="")

    @cached_property
    def address(self) -> Address:
        """The server's address. Raises: AddressError."""
        return parse_address(self.chosen.server) if self.chosen.server else discover()

    @property
    def server_text(self) -> str:
        """The server's address for a message, as well as it is known."""
        try:
            return str(self.address)
        except (AddressError, CommandError):
            return self.server or "the server"

    @contextmanager
    def client(self) -> Iterator[SyncClient]:
        """A client of the server, closed at the end."""
        # gRPC's own complaints about a missing daemon would stand before schedctl's.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from schedd.client import Credentials, Patience, SyncClient

        credentials = Credentials(token=self._token(), authorities=_file_bytes(self.chosen.ca_file))
        self.out.detail(f"server: {self.address}")
        with SyncClient(self.address, credentials=credentials, timeout=self.timeout, patience=Patience(max_attempts=3)) as client:
            yield client

    def confirm(self, question: str) -> None:
        """Ask, unless --yes was given. Raises: CommandError if the answer is no, or there is nobody to ask."""
        import click

        if self.yes:
            return
        if not sys.stdin.isatty():
            raise CommandError("nobody is there to ask; --yes says yes beforehand", (question,))
        if not click.confirm(question, err=True):
            raise CommandError("nothing was done")

    def _token(self) -> str:
        if self.chosen.token_file:
            return _file_bytes(self.chosen.token_file).decode().strip()
        return os.environ.get(TOKEN_VARIABLE, "")


def _file_bytes(path: str) -> bytes:
    if not path:
        return b""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
