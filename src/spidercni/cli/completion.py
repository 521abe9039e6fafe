"""`spidercni completion`: the script that a shell evaluates to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: `source <(spidercni completion bash)`.
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells of the choice above"
    # `source()` of click's bash class executes bash to learn its version; the template alone needs no child.
    source = kind(ctx.find_root().command, {}, "spidercni", "_SPIDERCNI_COMPLETE")
    click.echo(source.source_template % source.source_vars())
