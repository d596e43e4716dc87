"""The figures of hand-made evidence: their kinds, names and bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from retbench.report.figures import make_pictures
from retbench.report.figures.chart import Chart
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence
from tests.report.pixels import without_pdf

Make = Callable[..., Evidence]
CELLS: dict[tuple[str, str], dict[str, Any]] = {
    ("none", "none"): {"at": 0.85},
    ("dhta", "none"): {"at": 0.1},
    ("none", "retpur"): {"at": 0.8},
    ("dhta", "retpur"): {"at": 0.6, "cost": {"defense_seconds_per_query": 0.25}},
    ("none", "guard"): {"values": {"certified_radius": torch.linspace(-1, 1, 12)}},
}
KINDS = ["precision-recall", "precision-depth", "certified-recall", "robustness", "cost"]


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> list[Chart]:
    """Collect the charts that would be drawn, without drawing them."""
    from retbench.report.figures import drawing
    from retbench.report.figures.canvas import DrawnFigure

    collected: list[Chart] = []

    def collect(chart: Chart) -> DrawnFigure:
        collected.append(chart)
        return DrawnFigure(b"", b"")

    monkeypatch.setattr(drawing, "draw_chart", collect)
    return collected


def test_there_is_a_figure_of_each_kind_as_png_and_pdf(evidence: Make) -> None:
    pictures = make_pictures(evidence(CELLS), "Uni Modal")
    assert [picture.stem for picture in pictures] == [f"uni-modal-{kind}" for kind in KINDS]
    assert all(picture.png.startswith(b"\x89PNG") and picture.pdf.startswith(b"%PDF") for picture in pictures)
    assert not any(b"Date" in picture.pdf for picture in pictures)


def test_equal_evidence_gives_equal_pictures(evidence: Make) -> None:
    cells = {cell: entries for cell, entries in CELLS.items() if cell[1] == "none"}
    with without_pdf():
        assert make_pictures(evidence(cells), "toys") == make_pictures(evidence(cells), "toys")


def test_without_values_there_are_no_pictures(evidence: Make) -> None:
    unscored = {"map_recall": None, "map_depth": None, "depths": None}
    assert make_pictures(evidence({}), "toys") == ()
    assert make_pictures(evidence({("none", "none"): {"status": "missing"}}), "toys") == ()
    assert make_pictures(evidence({("none", "none"): {"values": unscored}}), "toys") == ()


def test_seven_panels_make_two_figures_with_the_same_styles(evidence: Make, charts: list[Chart]) -> None:
    many = {("none", f"none#{at}"): {"dataset": f"set{at}"} for at in range(7)}
    pictures = make_pictures(evidence({**many, ("dhta", "none"): {"dataset": "set6"}}), "toys")
    recall = [picture for picture in pictures if "recall" in picture.stem]
    assert [picture.stem for picture in recall] == ["toys-precision-recall", "toys-precision-recall-2"]
    assert [len(chart.panels) for chart in charts[:2]] == [6, 1]
    assert [picture.title for picture in recall] == [f"Precision over recall ({part} of 2)" for part in (1, 2)]
    assert charts[0].marker_groups == charts[1].marker_groups == ("DHTA",)


def test_stems_are_unique_over_tasks_bits_and_threats(evidence: Make, charts: list[Chart]) -> None:
    cells = dict(CELLS)
    for at, axes in enumerate(({"task": "i2t"}, {"bits": 64}, {"threat": "adaptive"})):
        cells |= {(attack, f"{defense}#{at}"): {**entries, **axes} for (attack, defense), entries in CELLS.items()}
    stems = [picture.stem for picture in make_pictures(evidence(cells), "toys")]
    assert len(set(stems)) == len(stems) == 4 * len(KINDS)
    assert "toys-robustness-i2i-32-adaptive" in stems


def test_swept_rows_are_drawn_only_if_a_kind_would_have_no_figure(evidence: Make, charts: list[Chart]) -> None:
    swept = {
        cell: {**entries, "variant": "t_p=5"} if cell[1] == "retpur" else entries for cell, entries in CELLS.items()
    }
    by_stem = {picture.stem: chart for picture, chart in zip(make_pictures(evidence(swept), "t"), charts, strict=True)}
    assert [line.color_group for line in by_stem["t-precision-recall"].panels[0].lines] == ["", ""]
    assert [point.color_group for point in by_stem["t-robustness"].panels[0].points] == ["RetPur t_p=5"]


def test_printed_names_are_those_of_the_caller(evidence: Make, charts: list[Chart]) -> None:
    make_pictures(evidence(CELLS), "toys", lambda axis, value: f"<{axis} {value}>")
    assert charts[0].panels[0].title == "<dataset digits>, <hasher dpsh>"
    assert charts[0].marker_groups == ("<attack dhta>",)
    assert charts[0].color_groups == ("<defense retpur>", "<defense guard>")


def test_the_description_has_the_numbers_and_notes_the_selection(evidence: Make, charts: list[Chart]) -> None:
    many = {("dhta", f"d{at}"): {"at": 0.1 * at} for at in range(8)}
    recall, _, certified, *_ = make_pictures(evidence({**CELLS, **many}), "toys")
    assert recall.title == "Precision over recall: clean queries, attacks, and defenses under the strongest attack"
    assert "Of the defenses, only those under the strongest attack are shown" in recall.alt
    assert "digits, DPSH (best 6 of 9 defenses under DHTA): at a recall of 50 % clean 8" in recall.alt
    assert "pointwise 95 % confidence intervals" in recall.alt
    recall_at_1 = 100 * np.mean(evidence(CELLS).scores("key0")["map_depth"][:, 0].double().numpy())
    assert certified.alt.endswith(f"Recall@1 of clean queries, no defense: digits, DPSH {recall_at_1:.1f} %.")


def test_a_combination_is_named_piece_by_piece() -> None:
    assert printed_name("defense", "atrdh+retpur") == "ATRDH+RetPur"
    assert printed_name("dataset", "unheard-of") == "unheard-of"
