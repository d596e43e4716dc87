import numpy as np
import pytest
from retbench_datasets.embedded import hard_scenes
from retbench_datasets.embedded.hard_scenes import HARD_SCENES
from retbench_datasets.embedded.scene_contents import NO_SHAPE, SceneContents, label_contents
from retbench_datasets.embedded.scene_random import SceneRandom

CLASSES = HARD_SCENES.classes
COUNT = 40_000


@pytest.fixture(scope="module")
def contents() -> SceneContents:
    return HARD_SCENES.draw_contents(SceneRandom(0, np.arange(COUNT)))


def test_the_shapes_of_a_scene_are_of_different_kinds(contents: SceneContents) -> None:
    shown = np.sort(contents.shapes, axis=1)
    assert not ((shown[:, 1:] == shown[:, :-1]) & (shown[:, 1:] != NO_SHAPE)).any()


def test_the_first_slots_are_filled_first(contents: SceneContents) -> None:
    filled = contents.shapes != NO_SHAPE
    assert filled[:, 0].all()
    assert (filled[:, 1:] <= filled[:, :-1]).all()


def test_scenes_have_the_stated_numbers_of_shapes(contents: SceneContents) -> None:
    shares = (contents.shapes[:, 1:] != NO_SHAPE).mean(axis=0)
    assert shares == pytest.approx(hard_scenes._MORE_SHAPES_PROBABILITIES, abs=0.01)


def test_backgrounds_have_their_weights(contents: SceneContents) -> None:
    weights = hard_scenes._BACKGROUND_WEIGHTS
    shares = np.bincount(contents.backgrounds, minlength=len(weights)) / COUNT
    assert shares == pytest.approx(weights / weights.sum(), abs=0.01)


def test_the_first_shape_has_its_weights_on_every_background(contents: SceneContents) -> None:
    expected = hard_scenes._shape_weights() / hard_scenes._shape_weights().sum(axis=1, keepdims=True)
    for background, shares in enumerate(expected):
        first = contents.shapes[contents.backgrounds == background, 0]
        assert np.bincount(first, minlength=len(shares)) / len(first) == pytest.approx(shares, abs=0.03)


def test_every_background_prefers_as_many_shapes() -> None:
    preferred = hard_scenes._shape_weights() == hard_scenes._PREFERENCE
    assert (preferred.sum(axis=1) == hard_scenes._PREFERRED_SHAPES).all()
    assert preferred.any(axis=0).all()


def test_labels_of_preferred_shapes_occur_together_more_often(contents: SceneContents) -> None:
    labels = label_contents(contents, CLASSES).astype(int)
    kinds = len(CLASSES.backgrounds)
    together = labels[:, :kinds].T @ labels[:, kinds:] / labels[:, :kinds].sum(axis=0)[:, None]
    preferred = hard_scenes._shape_weights() > 1
    assert together[preferred].min() > 1.5 * together[~preferred].max()


def test_two_words_of_a_class_are_its_own_and_two_belong_to_one_other_class_too() -> None:
    words = [word for words in HARD_SCENES.wording.words.values() for word in words]
    for own in HARD_SCENES.wording.words.values():
        assert sorted(words.count(word) for word in own) == [1, 1, 2, 2]
