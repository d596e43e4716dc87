"""Reports of bundles."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from retbench.bundle import open_bundle
from retbench.report import Gallery
from retbench.report.gallery.exhibit import Exhibit, Hit, Ranking
from retbench.report.published.claims import shipped_claims
from retbench.study.bundles import join_galleries, open_bundles, read_galleries
from retbench.suite import read_selection
from tests.bundle.conftest import edit_json
from tests.cli.conftest import RunCommand

LEDGER = """\
claims: mine
paper: Mine
title: What was printed
authors: Nobody
source: the paper
decimals: 2
cells: {bits: 16, task: i2i}
tables:
  - table: 1
    title: All
    across: [dataset]
    columns: [[toy]]
    rows:
      - {printed: toy, metric: map, attack: none, defense: none, hasher: toy, values: [VALUE]}
"""


@pytest.fixture
def export(retbench: RunCommand, toys: Path) -> Callable[..., Path]:
    """A function that runs the toy suite, or a part of it, and exports it to a bundle."""

    def run_and_export(name: str, *options: str) -> Path:
        assert retbench("run", "toy.yaml", *options).code == 0
        result = retbench("results", "export", "toy.yaml", name, *options, "--force")
        assert result.code == 0, result.err
        return toys / name

    return run_and_export


def report(retbench: RunCommand, *words: str) -> Any:
    """Return the JSON of a report."""
    result = retbench("report", *words, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def tables_without_source(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of a report, without the line of provenance that names the bundle."""
    provenance = [[line for line in table["provenance"] if line[0] != "source"] for table in report["tables"]]
    return [{**table, "provenance": lines} for table, lines in zip(report["tables"], provenance, strict=True)]


def report_error(retbench: RunCommand, *words: str) -> str:
    """Return the message that a report fails with."""
    result = retbench("report", *words)
    assert result.code == 2
    assert result.err.count("\n") == 1
    return result.err.removeprefix("error: ").rstrip("\n")


def test_only_selects_rows_of_a_bundle(retbench: RunCommand, export: Callable[..., Path]) -> None:
    export("run.zip")
    stored, bundled = (report(retbench, name, "--only", "attack=none") for name in ("toy.yaml", "run.zip"))
    assert tables_without_source(bundled) == tables_without_source(stored)
    assert bundled["tables"] != report(retbench, "run.zip")["tables"]
    assert report(retbench, "run.zip", "--only", "bits=16")["tables"] == report(retbench, "run.zip")["tables"]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("attack", "--only: expected axis=value[,value], got 'attack'"),
        ("atack=none", "--only: axis: unknown name: got 'atack', expected one of "),
        ("attack=p2p", "--only: attack of these rows: unknown name: got 'p2p', expected one of none, toy"),
    ],
)
def test_a_wrong_only_is_refused_with_the_message_of_a_suite(
    retbench: RunCommand, export: Callable[..., Path], only: str, message: str
) -> None:
    export("run.zip")
    assert report_error(retbench, "run.zip", "--only", only).startswith(message)


def test_a_selection_without_results_is_refused(retbench: RunCommand, export: Callable[..., Path]) -> None:
    path = export("run.zip")

    def change(rows: Any) -> None:
        for row in rows:
            row["status"] = "missing" if row["attack"] == "toy" else row["status"]

    edit_json(path, "rows.json", change)
    assert "--only: selects no row with results: got attack=toy" in report_error(
        retbench, "run.zip", "--only", "attack=toy"
    )


@pytest.mark.parametrize(
    "words", [("--profile", "quick"), ("--set", "shard=2"), ("--device", "cpu"), ("--precision", "bf16")]
)
def test_options_of_suites_are_refused_for_bundles(
    retbench: RunCommand, export: Callable[..., Path], words: tuple[str, str]
) -> None:
    export("run.zip")
    assert report_error(retbench, "run.zip", *words).startswith(f"report: {words[0]} applies to suites only")


def test_every_shipped_ledger_is_in_a_bundle(export: Callable[..., Path]) -> None:
    claims = open_bundle(export("run.zip")).claims
    assert claims == {name: path.read_text() for name, path in shipped_claims().items()}
    assert open_bundles([Path("run.zip")], read_selection()).ledger(None) is None


def test_the_ledger_of_a_suite_is_read_from_its_bundle(
    retbench: RunCommand, export: Callable[..., Path], change: Callable[[str, str], None], toys: Path
) -> None:
    own = toys / "far away" / "mine.yaml"
    own.parent.mkdir()
    own.write_text(LEDGER.replace("VALUE", "12.34"))
    change("report: {layout:", f"report: {{claims: {own}, layout:")
    path = export("run.zip")
    own.unlink()
    source = open_bundles([path], read_selection())
    ledger = source.ledger(None)
    assert ledger is not None
    assert [claim.value for claim in ledger.claims] == [12.34]
    assert source.ledger("…/far away/mine.yaml") == ledger
    (retpur,) = [ledger for ledger in [source.ledger("retpur")] if ledger]
    assert retpur.name != ledger.name
    assert str(toys).encode() not in path.read_bytes()


def test_bundles_with_different_ledgers_need_a_choice(
    retbench: RunCommand, export: Callable[..., Path], change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(LEDGER.replace("VALUE", "12.34"))
    change("report: {layout:", "report: {claims: mine.yaml, layout:")
    export("one.zip", "--only", "attack=none")
    export("same.zip", "--only", "attack=toy")
    (toys / "mine.yaml").write_text(LEDGER.replace("VALUE", "43.21"))
    export("two.zip", "--only", "attack=toy")
    assert report(retbench, "one.zip", "same.zip")["tables"]
    message = report_error(retbench, "one.zip", "two.zip")
    assert message == (
        "report: different published numbers: got mine.yaml of one.zip and mine.yaml of two.zip; "
        "choose one with --against NAME or FILE"
    )
    assert report(retbench, "one.zip", "two.zip", "--against", "retpur")["tables"]


def test_the_ledger_of_a_bundle_may_use_names_of_its_rows(export: Callable[..., Path], tmp_path: Path) -> None:
    path = export("run.zip")
    edit_json(path, "claims.json", lambda claims: claims.update(own=LEDGER.replace("VALUE", "1.0")))
    ledger = open_bundles([path], read_selection()).ledger("own")
    assert ledger is not None
    assert ledger.claims[0].axes["dataset"] == "toy"


def make_png(level: int) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (2, 2), (level, level, level)).save(stream, "PNG")
    return stream.getvalue()


def make_gallery(query: str, *levels: int) -> Gallery:
    """Return a gallery of one exhibit, whose images have these levels of gray."""
    hits = (Hit(2, 1, True, False), Hit(0, 2, False, True))
    rankings = tuple(Ranking(label, 0.5, 0.25, hits) for label in ("before", "under attack"))
    kind: Any = "median change"
    exhibit = Exhibit("Toy", "Toy", "Toy", "", query, kind, 0.5, "a", "b", 10.0, 0, 1, 2, None, rankings)
    return Gallery((exhibit,), tuple(map(make_png, levels)))


def test_joined_galleries_hold_every_image_once() -> None:
    one, other = make_gallery("q1", 10, 20, 30), make_gallery("q2", 40, 10, 50)
    both = join_galleries([one, other])
    assert both is not None
    assert both.images == tuple(map(make_png, (10, 20, 30, 40, 50)))
    assert [exhibit.query for exhibit in both.exhibits] == ["q1", "q2"]
    second = both.exhibits[1]
    for joined, original in ((second.clean, 0), (second.perturbation, 1), (second.attacked, 2)):
        assert both.images[joined] == other.images[original]
    assert second.purified is None
    for ranking in second.rankings:
        assert [both.images[hit.image] for hit in ranking.hits] == [other.images[2], other.images[0]]


def test_equal_exhibits_are_joined_and_no_gallery_gives_none() -> None:
    assert join_galleries([make_gallery("q", 1, 2, 3)] * 2) == make_gallery("q", 1, 2, 3)
    assert join_galleries([]) is None


def test_a_report_has_the_galleries_of_all_bundles(export: Callable[..., Path]) -> None:
    paths = [export("clean.zip", "--only", "attack=none"), export("attacked.zip", "--only", "defense=none")]
    counts = [sum(len(gallery.exhibits) for gallery in read_galleries(open_bundle(path))) for path in paths]
    both = open_bundles(paths, read_selection()).gallery()
    assert both is not None
    assert len(both.exhibits) == sum(counts) > 0
    assert open_bundles(paths, read_selection(["attack=none"])).gallery() is None
