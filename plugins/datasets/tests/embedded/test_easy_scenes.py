import numpy as np
import pytest
from retbench_datasets.embedded.easy_scenes import EASY_SCENES
from retbench_datasets.embedded.scene_contents import NO_SHAPE, SceneContents, label_contents
from retbench_datasets.embedded.scene_random import SceneRandom

CLASSES = EASY_SCENES.classes


@pytest.fixture
def contents() -> SceneContents:
    return EASY_SCENES.draw_contents(SceneRandom(0, np.arange(20_000)))


def test_two_shapes_are_of_different_kinds(contents: SceneContents) -> None:
    assert (contents.shapes[:, 0] != contents.shapes[:, 1]).all()


def test_35_percent_of_scenes_have_two_shapes(contents: SceneContents) -> None:
    assert (contents.shapes[:, 1] != NO_SHAPE).mean() == pytest.approx(0.35, abs=0.01)


def test_every_pair_of_background_and_shape_is_equally_likely(contents: SceneContents) -> None:
    labels = label_contents(contents, CLASSES).astype(int)
    kinds = len(CLASSES.backgrounds)
    together = labels[:, :kinds].T @ labels[:, kinds:]
    assert np.abs(together / (20_000 * 1.35 / (kinds * len(CLASSES.shapes))) - 1).max() < 0.15


def test_the_vocabulary_has_sixty_words() -> None:
    assert len(EASY_SCENES.wording.vocabulary) == 60


def test_the_last_word_of_a_class_is_shared_with_one_other() -> None:
    words = [word for words in EASY_SCENES.wording.words.values() for word in words]
    for own in EASY_SCENES.wording.words.values():
        assert [words.count(word) for word in own] == [1, 1, 1, 2]
