"""`retbench results`: the rows of a suite, for people and machines, and as a bundle to share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.cli.session import Session


class ListingGroup(click.Group):
    """A group whose first word is a suite to list, unless it is one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if named else ["list", *args])


@click.group(cls=ListingGroup, no_args_is_help=False)
def results() -> None:
    """List the numbers of a suite, or export them.

    `retbench results SUITE` stands for `retbench results list SUITE`.
    """


@results.command("list")
@click.argument("suite", required=False)
@suite_options
@store_option
@json_option
def list_rows(suite: str | None, store: Path, as_json: bool, **how: Any) -> None:
    """List the numbers of a SUITE; by default of the last one run in this store."""
    from tabulate import tabulate

    from retbench.cli.session import Request, open_session
    from retbench.report.render import percent

    rows = open_session(Request(suite, **how), store).rows()
    if as_json:
        click.echo(json.dumps([row.record() for row in rows]))
        return
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    axes = ("dataset", "hasher", "bits", "task", "attack", "defense", "variant", "threat", "seed", "status")
    table = [
        [*(str(getattr(row, axis)) for axis in axes), *(percent(row.metrics.get(name)) for name in names)]
        for row in rows
    ]
    headers = (*axes, *names)
    click.echo(tabulate(table, headers, "simple", disable_numparse=True))


@results.command("export")
@click.argument("suite")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@suite_options
@store_option
@json_option
def export(suite: str, path: Path, force: bool, store: Path, as_json: bool, **how: Any) -> None:
    """Write the results of a SUITE to PATH, a zip file with the codes and labels that they can be computed from."""
    from retbench.bundle import export_bundle
    from retbench.cli.session import Request, open_session
    from retbench.errors import UserError

    if path.suffix != ".zip":
        raise UserError(f"{path}: a bundle is a zip file: got the ending {path.suffix!r}, expected '.zip'")
    if path.exists() and not force:
        raise UserError(f"{path}: it is there already; --force replaces it")
    session = open_session(Request(suite, **how), store)
    evidence, loaded = session.evidence(), session.loaded
    fields = loaded.suite.model_dump(mode="json")
    extra = attachments(session)
    size = export_bundle(path, evidence, session.plan, session.store, fields, loaded.profile, extra)
    done = sum(row.status == "done" for row in evidence.rows)
    if as_json:
        click.echo(json.dumps({"path": str(path), "bytes": size, "rows": len(evidence.rows), "done": done}))
    else:
        click.echo(f"wrote {path}: {size / 1e6:.1f} MB, {len(evidence.rows)} rows, {done} of them done")


def attachments(session: Session) -> Mapping[str, bytes]:
    """Returns what goes into a bundle beside the results: layouts and claims as they are written, and the gallery.

    The claims are those that the suite names, and all that came with retbench, so that a bundle can be judged by them
    as they were.
    """
    from retbench.canon import canonical
    from retbench.cli.source import of_session
    from retbench.report.gallery.exhibit import gallery_record
    from retbench.report.published.claims import find_claims, shipped_claims
    from retbench.report.tables.layout import find_layout

    told, beside = session.loaded.suite.report, session.loaded.path.parent
    layouts = {name: find_layout(name, beside).read_text(encoding="utf-8") for name in told.layout}
    ledgers = {name: find_claims(name, beside) for name in (told.claims, *shipped_claims()) if name}
    claims = {name: path.read_text(encoding="utf-8") for name, path in ledgers.items()}
    found = {"layouts.json": canonical(layouts).encode(), "claims.json": canonical(claims).encode()}
    gallery = of_session(session).gallery()
    return found if gallery is None else {**found, "gallery.json": canonical(gallery_record(gallery)).encode()}
