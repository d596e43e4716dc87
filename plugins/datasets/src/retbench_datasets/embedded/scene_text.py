"""The text of a scene, as word counts over a fixed vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_random import SceneRandom

UNRELATED_WORDS = (
    *("photo", "picture", "nice", "today", "holiday", "canon", "my", "new", "best"),
    *("old", "view", "happy", "travel", "light", "world", "little", "day", "art"),
)
"""Words that say nothing about the labels."""

_UNRELATED_RANGE = (2, 4)  # number of unrelated words in a text


class SceneWording(NamedTuple):
    """The words of a design of scenes.

    Attributes:
        words: the words of each class, in the order of the label columns, as many for each; classes may share words.
        words_per_label: number of times that a word of a label is drawn.
        silence: probability that such a draw is left out.
        mistakes: probability that a text has one word of a class drawn at random.
    """

    words: Mapping[str, tuple[str, ...]]
    words_per_label: int
    silence: float = 0.0
    mistakes: float = 0.0

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words, those of classes first."""
        return tuple(dict.fromkeys([*(word for words in self.words.values() for word in words), *UNRELATED_WORDS]))


def write_texts(draws: SceneRandom, labels: NDArray[np.uint8], wording: SceneWording) -> NDArray[np.float32]:
    """Return float32 (N, T), counts over the vocabulary: words of the labels, and two to four unrelated words.

    Args:
        draws: the random numbers of the scenes.
        labels: uint8 (N, C), multi-hot over the classes of `wording`.
        wording: the words of each class and how they are drawn.
    """
    column_of = {word: column for column, word in enumerate(wording.vocabulary)}
    class_words = np.array([[column_of[word] for word in words] for words in wording.words.values()])
    count, choices = class_words.shape
    counts = np.zeros((len(draws), len(column_of)), dtype=np.float32)

    picks = draws.integers("said", count, wording.words_per_label, below=choices)
    spoken = draws.uniform("silence", count, wording.words_per_label) >= wording.silence
    rows, classes, words = np.nonzero(spoken & (labels[:, :, None] != 0))
    np.add.at(counts, (rows, class_words[classes, picks[rows, classes, words]]), 1)

    rows = np.flatnonzero(draws.uniform("mistake") < wording.mistakes)
    mistaken, pick = draws.integers("mistaken class", below=count), draws.integers("mistaken word", below=choices)
    np.add.at(counts, (rows, class_words[mistaken[rows], pick[rows]]), 1)

    fewest, most = _UNRELATED_RANGE
    word_columns = np.array([column_of[word] for word in UNRELATED_WORDS])
    unrelated = word_columns[draws.integers("chatter", most, below=len(UNRELATED_WORDS))]
    used = np.arange(most) < fewest + draws.integers("chattiness", 1, below=most - fewest + 1)
    rows, positions = np.nonzero(used)
    np.add.at(counts, (rows, unrelated[rows, positions]), 1)
    return counts
