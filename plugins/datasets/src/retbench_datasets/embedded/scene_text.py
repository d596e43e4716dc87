"""The text of a scene, as word counts over a fixed vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_contents import CLASSES
from retbench_datasets.embedded.scene_random import SceneRandom

# The last word of each class also belongs to another class: "blue" is a word of both sky and water.
WORDS = {
    "sky": ("sky", "cloud", "air", "blue"),
    "grass": ("grass", "lawn", "meadow", "ground"),
    "water": ("water", "wave", "lake", "blue"),
    "brick": ("brick", "wall", "masonry", "city"),
    "sand": ("sand", "beach", "desert", "ground"),
    "night": ("night", "dark", "midnight", "city"),
    "circle": ("circle", "disc", "ball", "round"),
    "square": ("square", "box", "tile", "corners"),
    "triangle": ("triangle", "wedge", "pyramid", "tips"),
    "ring": ("ring", "hoop", "loop", "round"),
    "cross": ("cross", "plus", "crossing", "corners"),
    "star": ("star", "starlet", "twinkle", "tips"),
}
UNRELATED_WORDS = (
    *("photo", "picture", "nice", "today", "holiday", "canon", "my", "new", "best"),
    *("old", "view", "happy", "travel", "light", "world", "little", "day", "art"),
)
VOCABULARY = tuple(dict.fromkeys([*(word for words in WORDS.values() for word in words), *UNRELATED_WORDS]))

_WORDS_PER_LABEL = 2
_UNRELATED_RANGE = (2, 4)  # number of unrelated words in a text


def write_texts(draws: SceneRandom, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32 (N, 60), counts over VOCABULARY: two of the four words of each label, two to four unrelated words.

    Args:
        draws: the random numbers of the scenes.
        labels: uint8 (N, 12), multi-hot over CLASSES.
    """
    column_of = {word: column for column, word in enumerate(VOCABULARY)}
    class_words = np.array([[column_of[word] for word in WORDS[name]] for name in CLASSES])
    counts = np.zeros((len(draws), len(VOCABULARY)), dtype=np.float32)

    picks = draws.integers("said", len(CLASSES), _WORDS_PER_LABEL, below=class_words.shape[1])
    rows, classes = np.nonzero(labels)
    np.add.at(counts, (rows[:, None], class_words[classes[:, None], picks[rows, classes]]), 1)

    fewest, most = _UNRELATED_RANGE
    word_columns = np.array([column_of[word] for word in UNRELATED_WORDS])
    unrelated = word_columns[draws.integers("chatter", most, below=len(UNRELATED_WORDS))]
    used = np.arange(most) < fewest + draws.integers("chattiness", 1, below=most - fewest + 1)
    rows, positions = np.nonzero(used)
    np.add.at(counts, (rows, unrelated[rows, positions]), 1)
    return counts
