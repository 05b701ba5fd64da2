"""What schedctl's commands are made of: examples in the help, shared options on each, and groups that load a command when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from schedd.cli.output import Format
from schedd.cli.session import Session
from schedd.cli.spans import parse_duration


class DurationType(click.ParamType[timedelta]):
    """A duration such as `30s`, `10m` or `1h30m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration that the argument writes."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = DurationType()


def _shared(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if ctx.resilient_parsing or value in (None, False):
            return
        setattr(ctx.ensure_object(Session), name, Format(value) if name == "format" else value)

    return keep


def shared_options() -> list[click.Option]:
    """The options that each command and group takes; they fill the `Session` in."""

    def option(*declarations: str, to: str, **settings: Any) -> click.Option:
        return click.Option(list(declarations), expose_value=False, callback=_shared(to), **settings)

    formats = click.Choice([item.value for item in Format])
    return [
        option("-o", "--output", to="format", type=formats, metavar="FORM", help="table, json, yaml or name."),
        option("--server", to="server", metavar="ADDRESS", help="Where schedd listens: a socket's path, or HOST:PORT."),
        option("--context", to="context", metavar="NAME", help="A named server (schedctl context list)."),
        option("--timeout", to="timeout", type=DURATION, metavar="TIME", help="How long to wait for an answer; 10s if not given."),
        option("-q", "--quiet", to="quiet", is_flag=True, help="No messages, only data and errors."),
        option("-v", "--verbose", to="verbose", is_flag=True, help="Tell more, on stderr."),
        option("-y", "--yes", to="yes", is_flag=True, help="Answer yes to every question."),
    ]


class Helpful(click.Command):
    """A command with examples, whose help keeps its own options apart from the shared ones."""

    examples: str = ""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._shared_options = shared_options()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, and the shared options."""
        return [*super().get_params(ctx), *self._shared_options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the own options, then the shared ones."""
        shared = set(map(id, self._shared_options))
        for title, wanted in (("Options", False), ("Options of every command", True)):
            own = [param for param in self.get_params(ctx) if isinstance(param, click.Option) and (id(param) in shared) is wanted]
            records = [option.get_help_record(ctx) for option in own]
            written = [record for record in records if record is not None]
            if written:
                with formatter.section(title):
                    formatter.write_dl(written)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, line by line as they are."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip("\n").splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def command(name: str, *, examples: str) -> Callable[[Callable[..., Any]], Helpful]:
    """Make a command of a function whose docstring is its help."""

    def decorate(function: Callable[..., Any]) -> Helpful:
        made = click.command(name, cls=Helpful)(function)
        made.examples = examples
        return made

    return decorate


@dataclass(frozen=True, slots=True)
class Late:
    """A command that is not loaded yet: where it is (`module:attribute`), its line in the group's help, and the section it stands in."""

    name: str
    where: str
    help: str
    section: str = "Commands"

    def load(self) -> click.Command:
        """Import it."""
        module, _, attribute = self.where.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{self.where} is no command")
        return found


class LateGroup(Helpful, click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(self, *arguments: Any, commands: Sequence[Late] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.late = {item.name: item for item in commands}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self.late)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        return self.late[cmd_name].load() if cmd_name in self.late else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; an unknown name is answered with the nearest one."""
        if args and args[0] not in self.late and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{nearest(self.late, args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, from the table alone."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for item in self.late.values():
            sections.setdefault(item.section, []).append((item.name, item.help))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands first, then the options."""
        self.format_commands(ctx, formatter)
        Helpful.format_options(self, ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete a command's name from the table; nothing is imported."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(item.name, help=item.help) for item in self.late.values() if item.name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


class DefaultGroup(LateGroup):
    """A group whose first command is meant where none is named: `backfill NAME` is `backfill start NAME`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name, else the first one with all of the arguments."""
        if args and args[0] not in self.late and not args[0].startswith("-"):
            args = [next(iter(self.late)), *args]
        return super().resolve_command(ctx, args)


def nearest(table: dict[str, Any], word: str) -> str:
    """`; did you mean 'x'?` for the key that is nearest to `word`, empty if none is near."""
    import difflib

    close = difflib.get_close_matches(word, list(table), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
