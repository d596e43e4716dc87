import numpy as np
import pytest
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import UNRELATED_WORDS, SceneWording, write_texts

WORDS = {
    "sky": ("sky", "cloud", "air", "blue"),
    "water": ("water", "wave", "lake", "blue"),
    "ring": ("ring", "hoop", "loop", "round"),
    "circle": ("circle", "disc", "ball", "round"),
}
WORDING = SceneWording(WORDS, words_per_label=2)
COLUMN = {word: column for column, word in enumerate(WORDING.vocabulary)}
DRAWS = SceneRandom(0, np.arange(4000))
LABELS = np.eye(4, dtype=np.uint8)[np.arange(4000) % 2] + np.eye(4, dtype=np.uint8)[2 + np.arange(4000) // 2 % 2]


@pytest.fixture(scope="module")
def texts() -> np.ndarray:
    return write_texts(DRAWS, LABELS, WORDING)


def columns(words: tuple[str, ...]) -> list[int]:
    return [COLUMN[word] for word in words]


def related(texts: np.ndarray) -> np.ndarray:
    """Return the number of words of classes in each text."""
    return texts.sum(axis=1) - texts[:, columns(UNRELATED_WORDS)].sum(axis=1)


def test_the_vocabulary_names_every_word_once() -> None:
    assert len(WORDING.vocabulary) == len(set(WORDING.vocabulary)) == 14 + len(UNRELATED_WORDS)


def test_texts_are_integer_counts(texts: np.ndarray) -> None:
    assert texts.dtype == np.float32
    assert texts.shape == (4000, len(COLUMN))
    assert (texts == np.floor(texts)).all()
    assert texts.min() == 0


@pytest.mark.parametrize("name", WORDS)
def test_a_text_has_words_of_every_label(texts: np.ndarray, name: str) -> None:
    labeled = LABELS[:, list(WORDS).index(name)] == 1
    assert texts[labeled][:, columns(WORDS[name])].sum(axis=1).min() >= 2


@pytest.mark.parametrize("name", WORDS)
def test_the_own_words_of_a_label_are_not_used_without_it(texts: np.ndarray, name: str) -> None:
    unlabeled = LABELS[:, list(WORDS).index(name)] == 0
    assert texts[unlabeled][:, columns(WORDS[name][:3])].sum() == 0


@pytest.mark.parametrize("name", WORDS)
def test_every_word_of_a_label_is_used_equally(texts: np.ndarray, name: str) -> None:
    labeled = texts[LABELS[:, list(WORDS).index(name)] == 1]
    assert np.abs(labeled[:, columns(WORDS[name][:3])].mean(axis=0) - 0.5).max() < 0.06


def test_two_to_four_words_are_unrelated(texts: np.ndarray) -> None:
    unrelated = texts[:, columns(UNRELATED_WORDS)].sum(axis=1)
    assert {2, 3, 4} == set(unrelated)
    assert (related(texts) == 2 * LABELS.sum(axis=1)).all()


def test_silence_leaves_out_its_share_of_the_words_and_changes_no_other() -> None:
    full, silent = (write_texts(DRAWS, LABELS, WORDING._replace(silence=silence)) for silence in (0.0, 0.3))
    assert (silent <= full).all()
    assert related(silent).mean() == pytest.approx(0.7 * 4, abs=0.05)
    assert (write_texts(DRAWS, LABELS, WORDING._replace(silence=1.0)).sum(axis=1) <= 4).all()


def test_mistakes_add_one_word_of_a_random_class_to_their_share_of_the_texts() -> None:
    full, mistaken = (write_texts(DRAWS, LABELS, WORDING._replace(mistakes=mistakes)) for mistakes in (0.0, 0.3))
    added = mistaken - full
    assert (added >= 0).all()
    assert set(added.sum(axis=1)) == {0.0, 1.0}
    assert added.sum(axis=1).mean() == pytest.approx(0.3, abs=0.03)
    for words in WORDS.values():
        assert added[:, columns(words[:3])].sum() / added.sum() == pytest.approx(3 / 16, abs=0.04)


def test_a_text_depends_on_its_own_index_alone() -> None:
    wording, rows = WORDING._replace(silence=0.2, mistakes=0.3), np.array([9, 4])
    assert np.array_equal(
        write_texts(DRAWS.select(rows), LABELS[rows], wording), write_texts(DRAWS, LABELS, wording)[rows]
    )
