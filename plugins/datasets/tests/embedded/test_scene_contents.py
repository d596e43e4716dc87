import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from retbench_datasets.embedded.scene_contents import NO_SHAPE, SceneClasses, SceneContents, label_contents

CLASSES = SceneClasses(backgrounds=("sky", "sand"), shapes=("ring", "star", "cross"))


def test_names_are_the_backgrounds_then_the_shapes() -> None:
    assert CLASSES.names == ("sky", "sand", "ring", "star", "cross")


def test_labels_are_the_background_and_the_shapes() -> None:
    contents = SceneContents(np.array([0, 1]), np.array([[2, NO_SHAPE, NO_SHAPE], [1, 0, NO_SHAPE]]))
    named = [{CLASSES.names[index] for index in np.flatnonzero(row)} for row in label_contents(contents, CLASSES)]
    assert named == [{"sky", "cross"}, {"sand", "star", "ring"}]


def test_labels_of_no_scenes_are_empty() -> None:
    labels = label_contents(SceneContents(np.zeros(0, np.int64), np.zeros((0, 2), np.int64)), CLASSES)
    assert labels.shape == (0, 5)
    assert labels.dtype == np.uint8


@given(st.integers(0, 1), st.permutations(range(3)), st.integers(1, 3))
def test_a_scene_has_one_label_for_each_of_its_contents(background: int, shapes: list[int], shown: int) -> None:
    slots = [*shapes[:shown], *[NO_SHAPE] * (3 - shown)]
    labels = label_contents(SceneContents(np.array([background]), np.array([slots])), CLASSES)
    assert set(np.flatnonzero(labels[0])) == {background, *(2 + shape for shape in shapes[:shown])}
