"""The `retbench` command: imports a subcommand only when it is called, and turns errors into exit codes.

Exit codes: 0 done (skipped cells are not failures), 1 something failed, 2 usage error, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from retbench.cli.group import CommandGroup

COMMANDS = (
    *("run", "plan", "report", "pictures", "results", "verify", "why"),
    *("plugins", "datasets", "weights", "gc"),
)


class LazyGroup(CommandGroup):
    """Imports the module of a command when the command is called or its help is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"retbench.cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="retbench")
def cli() -> None:
    """Measure defenses of hash-based image retrieval.

    A suite is a YAML file with datasets, hashers, attacks and defenses. retbench runs every combination once and stores
    the results. A SUITE is the path of such a file, or the name of an included one.

    Start with `retbench plan unimodal`, then `retbench run unimodal` and `retbench report`.
    """


def main() -> None:
    """Run the command line and exit with its code; a user error prints one line, a bug prints a traceback."""
    from retbench.cli.reading_progress import show_reading
    from retbench.errors import RetbenchError, UserError, command_line_names

    try:
        with command_line_names(), show_reading():
            code = cli.main(standalone_mode=False) or 0
        sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except RetbenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
