import numpy as np
import pytest
from retbench_datasets.embedded.scene_contents import CLASSES, draw_contents, label_contents
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import UNRELATED_WORDS, VOCABULARY, WORDS, write_texts

DRAWS = SceneRandom(0, np.arange(2000))
LABELS = label_contents(draw_contents(DRAWS))
COLUMN = {word: column for column, word in enumerate(VOCABULARY)}


@pytest.fixture(scope="module")
def texts() -> np.ndarray:
    return write_texts(DRAWS, LABELS)


def columns(words: tuple[str, ...]) -> list[int]:
    return [COLUMN[word] for word in words]


def test_the_vocabulary_has_sixty_distinct_words() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 60


def test_texts_are_integer_counts(texts: np.ndarray) -> None:
    assert texts.dtype == np.float32
    assert texts.shape == (2000, 60)
    assert (texts == np.floor(texts)).all()
    assert texts.min() == 0


@pytest.mark.parametrize("name", CLASSES)
def test_a_text_has_words_of_every_label(texts: np.ndarray, name: str) -> None:
    labeled = LABELS[:, CLASSES.index(name)] == 1
    assert texts[labeled][:, columns(WORDS[name])].sum(axis=1).min() >= 2


@pytest.mark.parametrize("name", CLASSES)
def test_the_own_words_of_a_label_are_not_used_without_it(texts: np.ndarray, name: str) -> None:
    unlabeled = LABELS[:, CLASSES.index(name)] == 0
    others = {word for other, words in WORDS.items() if other != name for word in words}
    assert texts[unlabeled][:, columns(tuple(word for word in WORDS[name] if word not in others))].sum() == 0


@pytest.mark.parametrize("name", CLASSES)
def test_every_word_of_a_label_is_used_about_equally(texts: np.ndarray, name: str) -> None:
    two_labels = LABELS.sum(axis=1) == 2
    chosen = texts[two_labels & (LABELS[:, CLASSES.index(name)] == 1)]
    shares = chosen[:, columns(WORDS[name][:3])].sum(axis=0) / len(chosen)
    assert np.abs(shares - 0.5).max() < 0.15


def test_the_last_word_of_a_label_is_shared_with_one_other() -> None:
    last = [words[-1] for words in WORDS.values()]
    assert all(last.count(word) == 2 for word in last)


def test_two_to_four_words_are_unrelated(texts: np.ndarray) -> None:
    unrelated = texts[:, columns(UNRELATED_WORDS)].sum(axis=1)
    assert {2, 3, 4} == set(unrelated)
    assert (texts.sum(axis=1) == 2 * LABELS.sum(axis=1) + unrelated).all()


def test_a_text_depends_on_its_own_index_alone(texts: np.ndarray) -> None:
    rows = np.array([9, 4])
    assert np.array_equal(write_texts(DRAWS.select(rows), LABELS[rows]), texts[rows])
