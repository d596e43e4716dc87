import numpy as np
import pytest
from retbench_datasets.embedded.scene_contents import CLASSES, draw_contents, label_contents
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import CHATTER, VOCABULARY, WORDS, write_texts

DRAWS = SceneRandom(0, np.arange(2000))
LABELS = label_contents(draw_contents(DRAWS))
COLUMN = {word: column for column, word in enumerate(VOCABULARY)}


@pytest.fixture(scope="module")
def texts() -> np.ndarray:
    return write_texts(DRAWS, LABELS)


def columns(words: tuple[str, ...]) -> list[int]:
    return [COLUMN[word] for word in words]


def test_the_vocabulary_has_sixty_words_and_none_twice() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 60


def test_texts_are_whole_counts(texts: np.ndarray) -> None:
    assert texts.dtype == np.float32
    assert texts.shape == (2000, 60)
    assert (texts == np.floor(texts)).all()
    assert texts.min() == 0


@pytest.mark.parametrize("name", CLASSES)
def test_a_label_is_mentioned_wherever_it_holds(texts: np.ndarray, name: str) -> None:
    holds = LABELS[:, CLASSES.index(name)] == 1
    assert texts[holds][:, columns(WORDS[name])].sum(axis=1).min() >= 2


@pytest.mark.parametrize("name", CLASSES)
def test_words_of_one_label_alone_are_not_used_without_it(texts: np.ndarray, name: str) -> None:
    lacks = LABELS[:, CLASSES.index(name)] == 0
    others = {word for other, words in WORDS.items() if other != name for word in words}
    assert texts[lacks][:, columns(tuple(word for word in WORDS[name] if word not in others))].sum() == 0


@pytest.mark.parametrize("name", CLASSES)
def test_every_word_of_a_label_is_used_about_equally(texts: np.ndarray, name: str) -> None:
    only = LABELS.sum(axis=1) == 2
    holds = texts[only & (LABELS[:, CLASSES.index(name)] == 1)]
    shares = holds[:, columns(WORDS[name][:3])].sum(axis=0) / len(holds)
    assert np.abs(shares - 0.5).max() < 0.15


def test_the_last_word_of_a_label_is_shared_with_one_other() -> None:
    last = [words[-1] for words in WORDS.values()]
    assert all(last.count(word) == 2 for word in last)


def test_two_to_four_words_say_nothing(texts: np.ndarray) -> None:
    chatter = texts[:, columns(CHATTER)].sum(axis=1)
    assert {2, 3, 4} == set(chatter)
    assert (texts.sum(axis=1) == 2 * LABELS.sum(axis=1) + chatter).all()


def test_a_text_depends_on_its_own_index_alone(texts: np.ndarray) -> None:
    rows = np.array([9, 4])
    assert np.array_equal(write_texts(DRAWS.select(rows), LABELS[rows]), texts[rows])
