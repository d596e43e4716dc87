import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retbench_datasets.embedded.easy_scenes import EASY_SCENES
from retbench_datasets.embedded.hard_scenes import HARD_SCENES
from retbench_datasets.embedded.scene_design import SceneDesign

DESIGNS = {"easy": EASY_SCENES, "hard": HARD_SCENES}


@pytest.fixture(params=DESIGNS)
def design(request: pytest.FixtureRequest) -> SceneDesign:
    return DESIGNS[request.param]


def test_an_image_depends_on_its_own_index_alone(design: SceneDesign) -> None:
    run = design.draw_images(0, 0.02, range(240, 260))  # across the boundary of two batches of range(0, 260)
    assert np.array_equal(design.draw_images(0, 0.02, range(0, 260))[240:], run)
    assert np.array_equal(design.draw_images(0, 0.02, range(259, 239, -1))[::-1], run)


@given(st.sampled_from(sorted(DESIGNS)), st.integers(0, 5), st.integers(0, 5000), st.integers(1, 9), st.integers(1, 4))
def test_labels_texts_and_images_depend_on_seed_and_index_alone(
    name: str, seed: int, start: int, step: int, count: int
) -> None:
    design, together = DESIGNS[name], range(start, start + step * count, step)
    singles = [range(index, index + 1) for index in together]
    for draw in (design.draw_labels, design.draw_texts, lambda seed, indices: design.draw_images(seed, 0.02, indices)):
        assert np.array_equal(draw(seed, together), np.concatenate([draw(seed, single) for single in singles]))


def test_another_seed_draws_other_scenes(design: SceneDesign) -> None:
    for draw in (design.draw_labels, design.draw_texts):
        assert not np.array_equal(draw(0, range(8)), draw(1, range(8)))
    changed = design.draw_images(0, 0.0, range(8)) != design.draw_images(1, 0.0, range(8))
    assert changed.any(axis=(1, 2, 3)).all()


def test_no_indices_give_no_scenes(design: SceneDesign) -> None:
    assert design.draw_images(0, 0.02, range(0)).shape == (0, 3, 32, 32)
    assert design.draw_labels(0, range(0)).shape == (0, len(design.classes.names))
    assert design.draw_texts(0, range(0)).shape == (0, len(design.wording.vocabulary))


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_pixel_noise_has_its_standard_deviation(design: SceneDesign, noise: float) -> None:
    clean = design.draw_images(0, 0.0, range(200)).astype(float)
    noise_levels = (design.draw_images(0, noise, range(200)) - clean)[(clean > 100) & (clean < 155)]
    assert noise_levels.std() / 255 == pytest.approx(noise, rel=0.03)
    assert abs(noise_levels.mean()) < 0.2


def test_the_words_of_a_design_are_those_of_its_classes(design: SceneDesign) -> None:
    assert tuple(design.wording.words) == design.classes.names
