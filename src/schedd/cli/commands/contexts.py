"""Named servers: list, choose, add, remove."""

from __future__ import annotations

from dataclasses import asdict, replace

import click

from schedd.cli.commanding import command
from schedd.cli.contexts import Context, contexts_path, load_contexts, save_contexts
from schedd.cli.failures import UsageFault
from schedd.cli.output import Format
from schedd.cli.session import Session
from schedd.cli.tables import Cell, Column
from schedd.client.address import parse_address

_COLUMNS = (
    Column(title=""),
    Column(title="NAME"),
    Column(title="SERVER", elastic=True),
    Column(title="TOKEN FILE", elastic=True, rank=1),
    Column(title="CA FILE", elastic=True, rank=2),
)


@command("list", examples="\nschedctl context list\n")
@click.pass_obj
def list_contexts(session: Session) -> None:
    """List the named servers."""
    contexts = load_contexts(contexts_path())
    rows = sorted(contexts.named.items())
    match session.format:
        case Format.TABLE if rows:
            session.out.table(
                _COLUMNS,
                [
                    [
                        Cell("*" if name == contexts.current else ""),
                        Cell(name),
                        Cell(item.server),
                        Cell(item.token_file),
                        Cell(item.ca_file),
                    ]
                    for name, item in rows
                ],
            )
        case Format.TABLE:
            session.out.note("no contexts; `schedctl context add NAME --server ADDRESS` makes one")
        case Format.NAME:
            session.out.lines(name for name, _ in rows)
        case _:
            session.out.data([{"name": name, "current": name == contexts.current, **asdict(item)} for name, item in rows])


def _complete_context(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in sorted(load_contexts(contexts_path()).named) if name.startswith(incomplete)]


@command("use", examples="\nschedctl context use prod\nschedctl context use -\n")
@click.argument("name", shell_complete=_complete_context)
@click.pass_obj
def use(session: Session, name: str) -> None:
    """Choose the server for the commands to come.

    The name - goes back to this machine's own daemon.
    """
    contexts = load_contexts(contexts_path())
    if name != "-":
        contexts.get(name)
    save_contexts(contexts_path(), replace(contexts, current="" if name == "-" else name))
    session.out.note(f"now in use: {'the daemon of this machine' if name == '-' else name}")


@command(
    "add",
    examples="""
schedctl context add local --server /run/schedd/schedd.sock
schedctl context add prod --server sched.example.com:7420 --token-file ~/.config/schedd/prod.token --use
""",
)
@click.argument("name")
@click.option("--token-file", default="", metavar="FILE", help="The file that has the bearer token.")
@click.option("--ca-file", default="", metavar="FILE", help="Certificates to trust in place of the system's, PEM.")
@click.option("--use", "choose", is_flag=True, help="Choose it as well.")
@click.pass_obj
def add(session: Session, name: str, token_file: str, ca_file: str, choose: bool) -> None:
    """Name a server.

    The server is what --server says.
    """
    if not session.server:
        raise UsageFault("say where it is: --server ADDRESS")
    if not name or name == "-":
        raise UsageFault(f"{name!r} is not a context's name")
    parse_address(session.server)
    contexts = load_contexts(contexts_path())
    changed = contexts.with_context(name, Context(server=session.server, token_file=token_file, ca_file=ca_file))
    save_contexts(contexts_path(), replace(changed, current=name) if choose else changed)
    session.out.note(f"context {name} {'changed' if name in contexts.named else 'added'}{' and in use' if choose else ''}")


@command("remove", examples="\nschedctl context remove prod\n")
@click.argument("name", shell_complete=_complete_context)
@click.pass_obj
def remove(session: Session, name: str) -> None:
    """Forget a named server."""
    save_contexts(contexts_path(), load_contexts(contexts_path()).without(name))
    session.out.note(f"context {name} removed")
