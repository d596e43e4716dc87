"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from retbench.study.store_path import STORE, STORE_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])


def store_option(command: F) -> F:
    """Add `--store`."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=True),
        default=STORE,
        envvar=STORE_VARIABLE,
        show_default=True,
        help="Folder of all computed artifacts; also set by RETBENCH_STORE.",
    )(command)


def unused_store_option(command: F) -> F:
    """Add a hidden `--store` to a command that needs no store, so that scripts can pass it to every command."""
    return click.option("--store", type=click.Path(), expose_value=False, hidden=True)(command)


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON to standard output; other text goes to standard error."
    )(command)


def suite_options(command: F) -> F:
    """Add the options that change and narrow a suite, and those that choose device and precision."""
    options = (
        click.option("--profile", default="", metavar="NAME", help="Apply a profile that the suite defines."),
        click.option(
            "--set",
            multiple=True,
            metavar="PATH=VALUE",
            help="Change one value of the suite, for example components.attack.dhta.steps=100. Repeatable.",
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="AXIS=VALUE[,VALUE]",
            help="Keep only the cells with these values, for example dataset=digits. Repeatable.",
        ),
        click.option(
            "--plugin",
            "plugins",
            multiple=True,
            metavar="FILE.py",
            help="Also use the components that a Python file defines. Repeatable.",
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."),
        click.option(
            "--precision",
            type=click.Choice(["auto", "float32", "bf16"]),
            default="auto",
            show_default=True,
            help="Precision of networks; auto is bf16 if the device supports it in hardware, else float32.",
        ),
    )
    for option in reversed(options):  # click lists options in the reverse order of their decorators
        command = option(command)
    return command
