"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from retbench.study.place import STORE, STORE_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])


def store_option(command: F) -> F:
    """Add `--store`."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=True),
        default=STORE,
        envvar=STORE_VARIABLE,
        show_default=True,
        help="Folder of everything computed; also RETBENCH_STORE.",
    )(command)


def unused_store_option(command: F) -> F:
    """Add a `--store` that changes nothing, to a command that needs none, so that scripts may pass it everywhere."""
    return click.option("--store", type=click.Path(), expose_value=False, help="Accepted, and not needed.")(command)


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="JSON on standard output, people's text on the other.")(
        command
    )


def suite_options(command: F) -> F:
    """Add what narrows or changes a suite, and what it is computed on."""
    for option in (
        click.option("--profile", default="", metavar="NAME", help="One of the profiles that the suite defines."),
        click.option("--set", multiple=True, metavar="PATH=VALUE", help="Change one value of the suite."),
        click.option("--only", multiple=True, metavar="AXIS=VALUE[,VALUE]", help="Keep these cells only."),
        click.option(
            "--plugin",
            "plugins",
            multiple=True,
            metavar="FILE.py",
            help="Use the components that a Python file defines, beside those that are installed.",
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."),
        click.option(
            "--precision",
            type=click.Choice(["auto", "float32", "bf16"]),
            default="auto",
            show_default=True,
            help="Of convolutions and matrix products; auto takes bf16 where the device has it.",
        ),
    ):
        command = option(command)
    return command
