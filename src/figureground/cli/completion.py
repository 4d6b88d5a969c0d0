"""`figureground completion`: the script that teaches a shell our verbs, options and network names."""

from __future__ import annotations

import click

from figureground.cli.options import debug_option

COMPLETION_VARIABLE = "_FIGUREGROUND_COMPLETE"


@click.command(
    epilog="""\b
Example
  figureground completion bash >> ~/.bashrc
  figureground completion zsh >> ~/.zshrc
  figureground completion fish > ~/.config/fish/completions/figureground.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    if complete is None:  # click knows all three; a future click may not
        raise click.UsageError(f"no completion for {shell}", ctx=context)
    click.echo(complete(context.find_root().command, {}, "figureground", COMPLETION_VARIABLE).source())
