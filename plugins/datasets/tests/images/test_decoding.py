"""Decoding of one image file into a square array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from retbench_datasets.images.decoding import Preprocessing, decode_image

CENTER, SQUASH = Preprocessing(24, 32, "center"), Preprocessing(24, 32, "squash")
PUBLISHED = Preprocessing(224, 256, "center")


def noise_image(width: int, height: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def decode(path: Path, preprocessing: Preprocessing) -> np.ndarray:
    image = decode_image(path, preprocessing)
    assert isinstance(image, np.ndarray), image
    return image


def save(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 500), (256, 256), (100, 80)])
def test_center_resizes_the_shorter_side_and_crops_like_torch(tmp_path: Path, width: int, height: int) -> None:
    image = noise_image(width, height)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    scaled = (256, int(256 * width / height)) if width > height else (int(256 * height / width), 256)
    whole = torch.nn.functional.interpolate(pixels, scaled, mode="bilinear", antialias=True, align_corners=False)
    top, left = round((scaled[0] - 224) / 2), round((scaled[1] - 224) / 2)
    expected = whole[0, :, top : top + 224, left : left + 224].round()
    got = torch.from_numpy(decode(save(tmp_path, image), PUBLISHED)).float()
    assert got.shape == (3, 224, 224)
    assert (got - expected).abs().max() <= 1


def test_an_image_of_the_resize_size_is_only_cropped(tmp_path: Path) -> None:
    image = noise_image(32, 32)
    expected = np.asarray(image).transpose(2, 0, 1)[:, 4:28, 4:28]
    assert np.array_equal(decode(save(tmp_path, image), CENTER), expected)
    assert np.array_equal(decode(tmp_path / "a.png", SQUASH), expected)


def test_squash_changes_the_proportions_and_keeps_the_borders(tmp_path: Path) -> None:
    wide = Image.new("RGB", (200, 50), "red")
    wide.paste("blue", (0, 0, 50, 50))
    path = save(tmp_path, wide)
    assert decode(path, CENTER)[2].max() == 0
    assert (decode(path, SQUASH)[2, 12] > 128).sum() == 4


@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 500), (16, 40)])
def test_stretch_resizes_the_whole_image_like_torch(tmp_path: Path, width: int, height: int) -> None:
    image = noise_image(width, height)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(pixels, (64, 64), mode="bilinear", antialias=True, align_corners=False)
    got = torch.from_numpy(decode(save(tmp_path, image), Preprocessing(64, 73, "stretch"))).float()
    assert got.shape == (3, 64, 64)
    assert (got - expected[0].round()).abs().max() <= 1


def test_stretch_keeps_an_image_of_the_requested_size(tmp_path: Path) -> None:
    image = noise_image(24, 24)
    expected = np.asarray(image).transpose(2, 0, 1)
    assert np.array_equal(decode(save(tmp_path, image), Preprocessing(24, 32, "stretch")), expected)


def test_gray_is_repeated_in_all_channels(tmp_path: Path) -> None:
    gray = noise_image(40, 30).convert("L")
    got = decode(save(tmp_path, gray), CENTER)
    assert np.array_equal(got[0], got[1])
    assert np.array_equal(got[0], got[2])
    assert got.std() > 10


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    flat = Image.new("RGB", (30, 30), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert decode(save(tmp_path, flat), CENTER)[:, 5, 5].tolist() == [10, 200, 30]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = save(tmp_path, Image.new("CMYK", (30, 30), (255, 0, 0, 0)), "a.jpg")
    red, green, blue = decode(path, CENTER)[:, 5, 5].tolist()
    assert red < 10
    assert min(green, blue) > 245


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 15, 30))
    got = decode(save(tmp_path, clear), CENTER)
    assert got[:, 12, 0].tolist() == [255, 0, 0]
    assert got[:, 12, 23].tolist() == [255, 255, 255]


def test_an_image_is_rotated_by_its_exif_tag(tmp_path: Path) -> None:
    upright = noise_image(30, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = save(tmp_path, upright.transpose(Image.Transpose.ROTATE_90), "turned.png", exif=exif)
    assert np.array_equal(decode(turned, CENTER), decode(save(tmp_path, upright), CENTER))
    as_stored = save(tmp_path, upright.transpose(Image.Transpose.ROTATE_90), "stored.png")
    assert np.array_equal(decode(turned, CENTER._replace(upright=False)), decode(as_stored, CENTER))


def test_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, Image.fromarray(np.zeros((30, 30), dtype=np.uint16)))
    assert decode_image(path, CENTER) == "ValueError: got mode I;16, expected 8 bits per channel"


def test_a_truncated_jpeg_gives_a_reason(tmp_path: Path) -> None:
    path = save(tmp_path, noise_image(300, 200), "a.jpg")
    path.write_bytes(path.read_bytes()[:2000])
    assert "truncated" in str(decode_image(path, CENTER))


@pytest.mark.parametrize(("content", "reason"), [(b"not an image", "cannot identify image file"), (b"", "cannot")])
def test_a_file_that_is_no_image_gives_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert reason in str(decode_image(tmp_path / "a.jpg", CENTER))


def test_a_missing_file_gives_a_reason(tmp_path: Path) -> None:
    assert decode_image(tmp_path / "a.jpg", CENTER) == "no such file"
