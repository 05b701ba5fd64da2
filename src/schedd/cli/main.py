"""schedctl's entry point: runs the command line and turns whatever happens into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from schedd.cli.failures import ExitCode, exit_code, message_lines
from schedd.cli.output import takes_colour
from schedd.cli.session import Session
from schedd.cli.tables import painted
from schedd.cli.tree import schedctl

_NAME = "schedctl"
_COMPLETING = "_SCHEDCTL_COMPLETE"


def main() -> None:
    """Run schedctl and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run schedctl with these arguments; its exit code."""
    session = Session()
    try:
        answer = _invoke(arguments, session)
        sys.stdout.flush()
        return answer if isinstance(answer, int) else ExitCode.OK
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as asked:
        sys.stderr.write(asked.format_message() + "\n")
        return ExitCode.USAGE
    except click.ClickException as error:
        _show_usage(error)
        return ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.ERROR
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE
    except Exception as error:  # noqa: BLE001 - the outermost one: whatever it is becomes a message and a code
        if session.verbose:
            sys.excepthook(*sys.exc_info())
        _show(message_lines(error, server=session.server_text))
        return exit_code(error)


def _invoke(arguments: Sequence[str], session: Session) -> object:
    if _COMPLETING in os.environ:
        return schedctl.main(list(arguments), prog_name=_NAME, complete_var=_COMPLETING, standalone_mode=False, obj=session)
    # Not click's own main(), which answers an interrupt and a closed pipe in its own way.
    with schedctl.make_context(_NAME, list(arguments), obj=session) as context:
        return schedctl.invoke(context)


def _show(lines: Sequence[str]) -> None:
    prefix = "schedctl:"
    if takes_colour(sys.stderr):
        prefix = painted(prefix, "red")
    first, *rest = lines
    sys.stderr.write("\n".join([f"{prefix} {first}", *rest]) + "\n")


def _show_usage(error: click.ClickException) -> None:
    lines = [error.format_message()]
    context = getattr(error, "ctx", None)
    if context is not None:
        if "unexpected extra argument" in lines[0] and any(parameter.name == "expression" for parameter in context.command.params):
            lines.append("  an expression with blanks stands in quotes, such as '0 9 * * MON-FRI'")
        lines.append(f"  {context.command_path} --help says more")
    _show(lines)
