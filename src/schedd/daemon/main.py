"""The `schedd` command: run the daemon, check its configuration, tell the version."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from schedd.core.errors import UnavailableError
from schedd.daemon.config import Config, EventLoop
from schedd.daemon.errors import StartError
from schedd.daemon.keys import toml_text
from schedd.daemon.logging import configure_logging
from schedd.daemon.notify import Notifier
from schedd.daemon.places import default_places
from schedd.daemon.sources import Loaded, Request, load

_SWITCH_INTERVAL_S = 0.0005
"""How soon the writer's thread gets the interpreter while the loop is busy: ten times sooner than by default, and back as soon."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what it ends with is the process's exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (StartError, UnavailableError) as error:
        print(f"schedd: {error}", file=sys.stderr)
        return error.exit_status if isinstance(error, StartError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="schedd", description="A scheduling daemon for one host. schedctl talks to it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the daemon in the foreground, until SIGTERM or Ctrl-C")
    check = commands.add_parser("check-config", help="say what is wrong with the configuration, or print what is in force")
    for command in (run, check):
        command.add_argument("--config", type=Path, metavar="FILE", help="read this file instead of the default ones")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one key, such as storage.path=/tmp/s.db")
    run.set_defaults(command=_run)
    check.set_defaults(command=_check)
    commands.add_parser("version", help="print the version").set_defaults(command=_version)
    return parser


def _run(options: argparse.Namespace) -> int:
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # Before grpc is imported: with it, children die now and then.
    config = _load(options).config
    configure_logging(config.log)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    from schedd.daemon.composition import Daemon  # Imports grpc, which the other commands do without.

    async def run() -> None:
        notifier = Notifier.from_environment(os.environ, pid=os.getpid())
        await Daemon(config, lambda: _load(options).config, notifier).run()

    with asyncio.Runner(loop_factory=_loop_factory(config)) as runner:
        try:
            runner.run(run())
        except* StartError as group:
            raise group.exceptions[0] from None
    return 0


def _loop_factory(config: Config) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if config.runtime.event_loop is EventLoop.ASYNCIO:
        return None
    import uvloop  # Only where it is chosen.

    return uvloop.new_event_loop


def _check(options: argparse.Namespace) -> int:
    loaded = _load(options, checking=True)
    for key in sorted(loaded.values):
        print(f"{key} = {toml_text(loaded.values[key])}  # {loaded.origins[key]}")
    return 0


def _version(_: argparse.Namespace) -> int:
    print(f"schedd {version('schedd')}")
    return 0


def _load(options: argparse.Namespace, *, checking: bool = False) -> Loaded:
    places = default_places(os.environ, root=os.geteuid() == 0)
    return load(Request(places=places, environ=os.environ, file=options.config, flags=tuple(options.set), checking=checking))
