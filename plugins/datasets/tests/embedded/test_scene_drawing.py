import numpy as np
import pytest
from retbench_datasets.embedded.scene_backgrounds import paint_backgrounds
from retbench_datasets.embedded.scene_contents import BACKGROUNDS, NO_SHAPE, draw_contents
from retbench_datasets.embedded.scene_drawing import draw_scenes
from retbench_datasets.embedded.scene_random import SceneRandom


def draw_backgrounds(indices: range) -> np.ndarray:
    draws = SceneRandom(0, np.array(indices))
    return paint_backgrounds(draws, draw_contents(draws).backgrounds)


def test_an_image_depends_on_its_own_index_alone() -> None:
    run = draw_scenes(0, 0.02, range(240, 260))  # across the boundary of two batches of range(0, 260)
    assert np.array_equal(draw_scenes(0, 0.02, range(0, 260))[240:], run)
    assert np.array_equal(draw_scenes(0, 0.02, range(259, 239, -1))[::-1], run)


def test_another_seed_draws_other_images() -> None:
    assert (draw_scenes(0, 0.0, range(8)) != draw_scenes(1, 0.0, range(8))).any(axis=(1, 2, 3)).all()


def test_no_indices_give_no_images() -> None:
    assert draw_scenes(0, 0.02, range(0)).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_pixel_noise_has_its_standard_deviation(noise: float) -> None:
    clean = draw_scenes(0, 0.0, range(200)).astype(float)
    noise_levels = (draw_scenes(0, noise, range(200)) - clean)[(clean > 100) & (clean < 155)]
    assert noise_levels.std() / 255 == pytest.approx(noise, rel=0.03)
    assert abs(noise_levels.mean()) < 0.2


def test_shapes_cover_a_part_of_the_image_but_not_all() -> None:
    indices = range(500)
    images = draw_scenes(0, 0.0, indices) / 255
    changed = (np.abs(images - np.clip(draw_backgrounds(indices), 0, 1)).max(axis=1) > 0.01).mean(axis=(1, 2))
    two = draw_contents(SceneRandom(0, np.array(indices))).shapes[:, 1] != NO_SHAPE
    assert 0.05 < changed.min() < changed.max() < 0.75
    assert changed[two].mean() / changed[~two].mean() == pytest.approx(2.0, abs=0.2)


def test_a_shape_has_contrast_to_its_background() -> None:
    indices = range(500)
    backgrounds = np.clip(draw_backgrounds(indices), 0, 1)
    distances = np.sqrt(((draw_scenes(0, 0.0, indices) / 255 - backgrounds) ** 2).sum(axis=1))
    strongest = np.sort(distances.reshape(len(indices), -1), axis=1)[:, -40:]  # the smallest shape covers 54 pixels
    assert strongest.mean(axis=1).min() > 0.35


def test_background_kinds_are_separable_by_simple_statistics() -> None:
    kinds = draw_contents(SceneRandom(0, np.arange(600))).backgrounds
    images = draw_backgrounds(range(600))
    along, down = np.abs(np.diff(images, axis=3)), np.abs(np.diff(images, axis=2))
    statistics = np.concatenate([part.mean(axis=(2, 3)) for part in (images, along, down)], axis=1)
    centers = np.stack([statistics[:300][kinds[:300] == kind].mean(axis=0) for kind in range(len(BACKGROUNDS))])
    nearest = np.abs(statistics[300:, None] - centers).sum(axis=-1).argmin(axis=1)
    assert (nearest == kinds[300:]).mean() > 0.95


def test_two_backgrounds_of_a_kind_differ() -> None:
    draws = SceneRandom(0, np.arange(40))
    for kind in range(len(BACKGROUNDS)):
        images = paint_backgrounds(draws, np.full(40, kind)).reshape(40, -1)
        gaps = np.abs(images[:, None] - images).mean(axis=-1) + np.eye(40)
        assert gaps.min() > 0.01
