"""The suite `unimodal` at the paper's scale: plans without data, and a run on ten images in each split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

DATASETS = {
    "flickr25k": ("mirflickr/im{}.jpg", 38),
    "mscoco": ("train2014/COCO_train2014_{:012d}.jpg", 80),
    "nuswide": ("images/{0:04d}_{0}.jpg", 21),
}
SMALL = {
    "dataset.mscoco": {"size": 64},
    "dataset.nuswide": {"size": 64},
    "hasher.dpsh": {"backbone": "resnet18", "weights": "random", "epochs": 1},
    "hasher.dph": {"backbone": "resnet18", "weights": "random", "epochs": 1},
    "attack.p2p": {"steps": 1},
    "attack.dhta": {"steps": 1},
    "attack.prosgan": {"epochs": 1, "width": 4, "blocks": 1, "decoder_width": 16, "critic_width": 4},
    "attack.prosgan.prototypes": {"steps": 2, "hidden": 16, "semantic": 8},
    "defense.ddpm": {"t_p": 2, "denoiser": "weights/tiny"},
    "defense.retpur": {"t_p": 2, "denoiser": "weights/tiny"},
    "defense.atrdh": {"epochs": 1, "attack_steps": 1, "hidden": 16, "semantic": 8},
}
"""Options that let a step at the paper's scale take seconds; all other options are those of the profile."""


def write_dataset(root: Path, name: str, classes: int) -> None:
    """Write the published lists of a dataset with ten rows in each split, and images with names of this form."""
    labels = (np.random.default_rng(0).random((20, classes)) < 0.15).astype(int)  # some pairs share a class, not all
    labels[np.arange(20), np.arange(20) % classes] = 1
    for number in range(20):
        path = root / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((320, 256)).save(path)
    for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 20)}.items():
        (root / f"{stem}_img.txt").write_text("".join(f"{name.format(row)}\n" for row in rows))
        (root / f"{stem}_label.txt").write_text("".join(" ".join(map(str, labels[row])) + "\n" for row in rows))


def test_cells_without_data_are_skipped_with_the_steps_to_get_it(run_paper_profile: Callable[..., Any]) -> None:
    cells = run_paper_profile("plan", "unimodal")["cells"]
    assert len(cells) == 3 * 2 * 4 * 4
    for cell in cells:
        assert cell["status"] == "skipped"
        assert f"retbench datasets prepare {cell['dataset']}" in cell["reason"]


def test_cells_without_weights_are_skipped_with_the_command_that_downloads_them(
    tmp_path: Path, run_paper_profile: Callable[..., Any]
) -> None:
    write_dataset(tmp_path / "data" / "nuswide", *DATASETS["nuswide"])
    cells = run_paper_profile("plan", "unimodal", "--only", "dataset=nuswide")["cells"]
    assert len(cells) == 32
    assert all("vgg11-8a719046.pth" in cell["reason"] for cell in cells)
    assert all("retbench weights prepare SUITE" in cell["reason"] for cell in cells)
    files = {
        file["file"]: file for file in run_paper_profile("weights", "list", "unimodal", "--only", "dataset=nuswide")
    }
    assert files.keys() == {"vgg11-8a719046.pth", "256x256_diffusion_uncond.pt"}
    assert files["vgg11-8a719046.pth"]["sha256"] == "8a719046"
    assert files["256x256_diffusion_uncond.pt"]["sha256"].startswith("a37c32ff")


@pytest.mark.slow
def test_the_suite_runs_on_ten_images_in_each_split(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    import diffusers

    for name, (image_name, classes) in DATASETS.items():
        write_dataset(tmp_path / "data" / name, image_name, classes)
    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    sizes: dict[str, Any] = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    diffusers.UNet2DModel(sample_size=96, **blocks, **sizes).save_pretrained(tmp_path / "weights/tiny")
    assignments = [
        f"components.{component}.{option}={value}"
        for component, options in SMALL.items()
        for option, value in options.items()
    ]
    totals = run_paper_profile(
        "run", "unimodal", *(word for assignment in assignments for word in ("--set", assignment))
    )
    assert (totals["failed"], totals["skipped"]) == (0, 0)
    rows = run_paper_profile("results")
    assert len(rows) == 96
    assert {row["status"] for row in rows} == {"done"}
    assert all(0 <= row["metrics"]["map"]["value"] <= 1 for row in rows)
    caveats = {caveat for row in rows for caveat in row["caveats"]}
    assert any("expected 5000 training rows, got 10" in caveat for caveat in caveats)
    assert any("resnet18 starts from random weights" in caveat for caveat in caveats)
