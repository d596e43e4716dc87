"""The cross-modal suites at the paper's scale: plans without data, and runs on ten pairs in each split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retbench.catalog import load_catalog
from retbench.suite import expand, find_suite, read_suite

DATASETS = {
    "wikipedia": (10, 10),
    "iapr-tc12": (255, 1024),
    "flickr25k": (24, 1386),
    "mscoco": (80, 1024),
    "nuswide": (21, 1000),
}
"""The number of classes and the length of a text vector."""
CELLS = 5 * 2 * (2 * 2 * 3 + 2)
SMALL = {
    **{f"dataset.{name}": {"size": 64} for name in DATASETS},
    "hasher.dgcpn": {"backbone": "conv", "weights": "auto", "hidden": 8, "neighbors": 2, "epochs": 1},
    "hasher.dadh": {"backbone": "conv", "weights": "auto", "hidden": "[8, 8, 8]", "epochs": 1},
    "attack.tadch": {"epochs": 1, "decay_epochs": 0, "width": 4, "blocks": 1, "critic_width": 4, "reconstruction": 1},
    "attack.tadch.prototypes": {"epochs": 1, "hidden": 8, "width": 16},
    "defense.ddpm": {"t_p": 2, "denoiser": "weights/tiny"},
    "defense.retpur": {"t_p": 2, "denoiser": "weights/tiny"},
}
"""Options that let a step at the paper's scale take seconds; all other options are those of the profile."""


def write_pairs(root: Path, classes: int, width: int) -> None:
    """Write a cross-modal edition with ten pairs in each split: lists, labels, texts, and images of noise.

    One training image has no label, and another an empty text.
    """
    draws = np.random.default_rng(0)
    labels, texts = draws.integers(0, 2, (20, classes)), draws.random((20, width), dtype=np.float32)
    labels[12], texts[13] = 0, 0
    (root / "crossmodal").mkdir(parents=True)
    for number in range(20):
        noise = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 80)).save(root / f"{number}.png")
    for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 20)}.items():
        names = "".join(f"{row}.png\n" for row in rows)
        (root / "crossmodal" / f"{stem}_img.txt").write_text(names)
        table = "".join(" ".join(map(str, labels[row])) + "\n" for row in rows)
        (root / "crossmodal" / f"{stem}_label.txt").write_text(table)
        np.save(root / "crossmodal" / f"{stem}_text.npy", texts[list(rows)])


def write_denoiser(folder: Path) -> None:
    """Write a denoiser with few weights in the format of a published one."""
    import diffusers

    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    sizes: dict[str, Any] = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    diffusers.UNet2DModel(sample_size=96, **blocks, **sizes).save_pretrained(folder)


def format_options(components: dict[str, dict[str, Any]]) -> list[str]:
    """Return the words that set these options on the command line."""
    assignments = (
        f"components.{name}.{option}={value}"
        for name, options in components.items()
        for option, value in options.items()
    )
    return [word for assignment in assignments for word in ("--set", assignment)]


@pytest.mark.parametrize(("suite", "cells"), [("crossmodal", CELLS), ("ablation", 2 * 2 * 9)])
def test_cells_without_data_are_skipped_with_the_steps_to_get_it(
    run_paper_profile: Callable[..., Any], suite: str, cells: int
) -> None:
    planned = run_paper_profile("plan", suite)["cells"]
    assert len(planned) == cells
    for cell in planned:
        assert cell["status"] == "skipped"
        assert f"retbench datasets prepare {cell['dataset']}" in cell["reason"]


def test_cells_without_the_weights_of_cnn_f_are_skipped_with_their_path(
    tmp_path: Path, run_paper_profile: Callable[..., Any]
) -> None:
    write_pairs(tmp_path / "data" / "wikipedia", *DATASETS["wikipedia"])
    cells = run_paper_profile("plan", "crossmodal", "--only", "dataset=wikipedia", "--only", "hasher=dadh")["cells"]
    assert len(cells) == CELLS // 10
    assert all("imagenet-vgg-f.mat" in cell["reason"] for cell in cells)


def test_components_at_the_papers_scale_have_the_published_options() -> None:
    catalog, overridden = load_catalog(), {"dgcpn": {"hidden", "neighbors", "scale", "validation"}}
    path = find_suite("crossmodal")
    cells = expand(read_suite(path, profile="paper"), catalog)
    for hasher in {type(cell.hasher): cell.hasher for cell in cells if cell.dataset.name == "flickr25k"}.values():
        published = type(hasher)(backbone="cnn-f")
        changed = {name for name, value in hasher if value != getattr(published, name)}
        assert changed <= overridden.get(hasher.name, set()) | {"extra_padding"}, hasher
    for attack in {cell.attack for cell in cells if cell.attack}:
        assert attack == type(attack)()


@pytest.mark.slow
def test_the_suite_runs_on_ten_pairs_in_each_split(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    for name, sizes in DATASETS.items():
        write_pairs(tmp_path / "data" / name, *sizes)
    write_denoiser(tmp_path / "weights/tiny")
    # Numbers of training pairs that only a whole dataset has; a setting cannot change what an override sets.
    small = format_options(SMALL | {"hasher.dgcpn": {**SMALL["hasher.dgcpn"], "validation": 0}})
    totals = run_paper_profile("run", "crossmodal", *small)
    assert totals["failed"] == 0
    rows = run_paper_profile("results")
    assert len(rows) == CELLS
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) == CELLS
    assert all(0 <= row["metrics"]["map"]["value"] <= 1 for row in done)
    caveats = {caveat for row in done for caveat in row["caveats"]}
    assert any("expected 10500 training rows, got 10" in caveat for caveat in caveats)


@pytest.mark.slow
def test_the_ablation_runs_on_ten_pairs_in_each_split(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    write_pairs(tmp_path / "data" / "wikipedia", *DATASETS["wikipedia"])
    write_denoiser(tmp_path / "weights/tiny")
    names = ("dataset.wikipedia", "hasher.dgcpn", "attack.tadch", "attack.tadch.prototypes")
    small = {name: SMALL[name] for name in names}
    small["defense.retpur"] = {"denoiser": "weights/tiny", "steps": 2}
    small["hasher.dgcpn"] = {**small["hasher.dgcpn"], "validation": 0}
    totals = run_paper_profile("run", "ablation", *format_options(small))
    assert (totals["failed"], totals["skipped"]) == (0, 0)
    report = run_paper_profile("report")
    titles = [table["title"] for table in report["tables"]]
    assert titles[0].startswith("Distance metric of the guidance (layout of RetPur, Table 4)")
    assert sum("Purify step" in title for title in titles) == 2


@pytest.mark.slow
def test_cnn_f_runs_at_its_own_image_size(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    write_pairs(tmp_path / "data" / "wikipedia", *DATASETS["wikipedia"])
    write_denoiser(tmp_path / "weights/tiny")
    options_by_name = {name: options for name, options in SMALL.items() if not name.startswith("dataset")}
    options_by_name["hasher.dadh"] = {**options_by_name["hasher.dadh"], "backbone": "cnn-f", "weights": "random"}
    only = ("--only", "dataset=wikipedia", "--only", "hasher=dadh")
    assert run_paper_profile("run", "crossmodal", *format_options(options_by_name), *only)["failed"] == 0
    rows = run_paper_profile("results")
    assert {row["status"] for row in rows} == {"done"}
    assert any("random weights" in caveat for row in rows for caveat in row["caveats"])
