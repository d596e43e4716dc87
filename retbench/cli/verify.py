"""`retbench verify`: computes the numbers of a bundle again, from the codes and labels in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retbench.cli.options import json_option, unused_store_option

if TYPE_CHECKING:
    from retbench.bundle import Finding, Verification

KINDS = {
    "artifact": "artifacts and recipes: digests, codes counted, steps",
    "targets": "draws of targets",
    "recipe": "what rows were computed from, and are named after",
    "query": "values of each query",
    "summary": "means and intervals of scores",
    "row": "numbers of rows",
    "step": "what other steps took, and where they ran",
    "bundle": "the suite, and what belongs to no row",
}
"""What the kinds of findings are called."""
MOST = 20


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@unused_store_option
@json_option
def verify(path: Path, as_json: bool) -> None:
    """Compute the numbers of a bundle at PATH again, from the codes and labels in it, and compare them.

    Rows must also be named after what their scores were made of, step by step.

    Exit code 0: all agree; 1: some do not; 2: not a bundle. What nothing in the file can confirm is named as carried:
    the gallery, seconds, and that no row was left out, among others.
    """
    from retbench.bundle import open_bundle, verify_bundle
    from retbench.study.bundles import read_galleries

    bundle = open_bundle(path)
    read_galleries(bundle)
    found = verify_bundle(bundle)
    if as_json:
        record = {name: [finding._asdict() for finding in findings] for name, findings in found._asdict().items()}
        click.echo(json.dumps({"title": bundle.evidence.title, "ok": found.ok, **record}))
    else:
        click.echo(f"{bundle.evidence.title}: {len(bundle.done)} of {len(bundle.evidence.rows)} rows have numbers\n")
        _show(found)
    if not found.ok:
        click.get_current_context().exit(1)


def _show(found: Verification) -> None:
    from tabulate import tabulate

    counts = [_count(findings) for findings in found]
    rows = [(label, *(count[kind] or "" for count in counts)) for kind, label in KINDS.items()]
    rows = [row for row in rows if any(row[1:])]
    click.echo(tabulate(rows, ("", "agree", "disagree", "carried"), "simple", disable_numparse=True))
    if found.ok:
        click.echo("\nEverything that follows from codes, labels and recipes agrees.")
    if carried := dict.fromkeys(finding.field for finding in found.carried):
        click.echo("\nCarried, as nothing in the file can confirm them:")
        click.echo("\n".join(f"- {field}" for field in carried))
    if found.ok:
        return
    table = [(finding.where, finding.field, finding.got, finding.expected) for finding in found.disagreed[:MOST]]
    headers = ("where", "field", "in the file", "computed")
    click.echo("\n" + tabulate(table, headers, "simple", disable_numparse=True, maxcolwidths=[None, None, 40, 40]))
    if len(found.disagreed) > MOST:
        click.echo(f"and {len(found.disagreed) - MOST} more; --json lists them all")


def _count(findings: Iterable[Finding]) -> Counter[str]:
    return Counter(finding.kind for finding in findings)
