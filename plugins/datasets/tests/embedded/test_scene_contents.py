import numpy as np
import pytest
from retbench_datasets.embedded.scene_contents import (
    BACKGROUNDS,
    CLASSES,
    NO_SHAPE,
    SHAPES,
    SceneContents,
    draw_contents,
    label_contents,
)
from retbench_datasets.embedded.scene_random import SceneRandom


@pytest.fixture
def contents() -> SceneContents:
    return draw_contents(SceneRandom(0, np.arange(20_000)))


def test_labels_are_the_background_and_the_shapes() -> None:
    contents = SceneContents(backgrounds=np.array([0, 5]), shapes=np.array([[2, NO_SHAPE], [5, 0]]))
    named = [{CLASSES[index] for index in np.flatnonzero(row)} for row in label_contents(contents)]
    assert named == [{"sky", "triangle"}, {"night", "star", "circle"}]


def test_labels_of_no_scenes_are_empty() -> None:
    labels = label_contents(draw_contents(SceneRandom(0, np.arange(0))))
    assert labels.shape == (0, 12)
    assert labels.dtype == np.uint8


def test_two_shapes_are_of_different_kinds(contents: SceneContents) -> None:
    assert (contents.shapes[:, 0] != contents.shapes[:, 1]).all()


def test_35_percent_of_scenes_have_two_shapes(contents: SceneContents) -> None:
    assert (contents.shapes[:, 1] != NO_SHAPE).mean() == pytest.approx(0.35, abs=0.01)


def test_every_pair_of_background_and_shape_is_equally_likely(contents: SceneContents) -> None:
    labels = label_contents(contents).astype(int)
    together = labels[:, : len(BACKGROUNDS)].T @ labels[:, len(BACKGROUNDS) :]
    assert np.abs(together / (20_000 * 1.35 / (len(BACKGROUNDS) * len(SHAPES))) - 1).max() < 0.15
