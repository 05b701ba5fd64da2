"""Completion scripts for shells."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError
from schedd.cli.session import Session


@command(
    "completion",
    examples="""
source <(schedctl completion bash)
schedctl completion zsh > ~/.zfunc/_schedctl
schedctl completion fish > ~/.config/fish/completions/schedctl.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_obj
def completion(session: Session, shell: str) -> None:
    """Print a completion script for bash, zsh or fish.

    Commands, options and the names of schedules are completed.
    """
    from schedd.cli.tree import schedctl

    made = get_completion_class(shell)
    if made is None:
        raise CommandError(f"there is no completion for {shell}")
    session.out.lines([made(schedctl, {}, "schedctl", "_SCHEDCTL_COMPLETE").source().rstrip()])
