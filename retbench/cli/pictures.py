"""`retbench pictures`: what trainings recorded, as files to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from torch import Tensor

    from retbench.canon import Json
    from retbench.cli.session import Session
    from retbench.stages import Stage


class Recorded(NamedTuple):
    """One thing that a step recorded: numbers along a line, or an image."""

    step: Stage
    name: str
    value: Json | Tensor


@click.command()
@click.argument("suite", required=False)
@suite_options
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder that the pictures go to."
)
@store_option
@json_option
def pictures(suite: str | None, store: Path, out: Path, as_json: bool, **how: Any) -> None:
    """Write what the trainings of a SUITE recorded: losses as curves, images as they are; by default of the last run.

    A file is called after the stage, the component and its data, the step's key, and what was recorded.
    """
    from retbench.cli.session import Request, open_session
    from retbench.errors import UserError

    session = open_session(Request(suite, **how), store)
    if not any(session.store.has(key) for key in session.plan.steps):
        name = session.loaded.path
        raise UserError(f"pictures: nothing of {session.run_name} is in {store} yet; run it first: retbench run {name}")
    written = write_pictures(session, out)
    if as_json:
        click.echo(json.dumps([str(path) for path in written]))
        return
    for path in written:
        click.echo(f"wrote {path}")
    if not written:
        click.echo(f"pictures: no stored step of {session.run_name} recorded anything that can be drawn")


def write_pictures(session: Session, folder: Path) -> list[Path]:
    """Writes each recorded thing of a plan as PNG and returns the paths; says of what is no picture that it is not."""
    from retbench.report.filename import fresh_stem, slug
    from retbench.store.files import replace_file, writing

    taken: set[str] = set()
    written = []
    for recorded in find_recorded(session):
        step = recorded.step
        try:
            png = draw(recorded)
        except ValueError as error:
            click.echo(f"pictures: {step.name} {step.label}: {recorded.name}: {error}", err=True)
            continue
        pieces = (slug(step.name), slug(step.label), step.key[:8], slug(recorded.name))
        path = folder / f"{fresh_stem('-'.join(pieces), taken)}.png"
        with writing(folder):
            replace_file(path, png)
        written.append(path)
    return written


def find_recorded(session: Session) -> Iterator[Recorded]:
    """Yields what the stored steps of a plan recorded, step by step: curves by name, then images by name.

    Only fits are lent a context that records, so that nothing else is read: images of queries take gigabytes.
    """
    from retbench.errors import ArtifactCorrupt
    from retbench.stages.states import RECORDED

    fits = [(key, step) for key, step in session.plan.steps.items() if step.name.startswith("fit")]
    for key, step in fits:
        if not session.store.has(key):
            continue
        try:
            artifact = session.store.get(key)
        except ArtifactCorrupt as error:
            click.echo(f"pictures: {step.name} {step.label}: {error}; run the suite again", err=True)
            continue
        curves = cast("dict[str, Json]", artifact.facts.get("record", {}))
        yield from (Recorded(step, name, value) for name, value in sorted(curves.items()))
        images = {n.removeprefix(RECORDED): t for n, t in artifact.tensors.items() if n.startswith(RECORDED)}
        yield from (Recorded(step, name, image) for name, image in sorted(images.items()))


def draw(recorded: Recorded) -> bytes:
    """Returns a recorded thing as PNG; raises ValueError for one that is neither numbers nor an image."""
    from torch import Tensor

    from retbench.report.figures.recording import draw_course, encode_picture, is_course

    if isinstance(recorded.value, Tensor):
        return encode_picture(recorded.value)
    if is_course(recorded.value):
        return draw_course(recorded.value, f"{recorded.step.label}: {recorded.name}", recorded.name)
    told = json.dumps(recorded.value)
    shown = told if len(told) <= 60 else f"{told[:57]}..."
    raise ValueError(f"curve: got {shown}, expected a list of finite numbers")
