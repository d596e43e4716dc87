"""Groups of commands that name their commands when an unknown one is called."""

from __future__ import annotations

import click


class CommandGroup(click.Group):
    """A group whose error for an unknown command lists the commands that exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its arguments; raises a usage error with the nearest names for an unknown one."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            from retbench.errors import suggest

            raise click.UsageError(f"unknown command: got {args[0]!r}, {suggest(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)
