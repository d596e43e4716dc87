"""The words that go with a scene, as counts over a vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retbench_datasets.embedded.scene_contents import CLASSES
from retbench_datasets.embedded.scene_random import SceneRandom

# The last word of each class is another's too, as "blue" says sky or water.
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
CHATTER = (
    *("photo", "picture", "nice", "today", "holiday", "canon", "my", "new", "best"),
    *("old", "view", "happy", "travel", "light", "world", "little", "day", "art"),
)
VOCABULARY = tuple(dict.fromkeys([*(word for words in WORDS.values() for word in words), *CHATTER]))

_SAID = 2  # words drawn for each label
_CHATTER_RANGE = (2, 4)  # words drawn of no label


def write_texts(draws: SceneRandom, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns float32 (N, 60), counts over VOCABULARY: two words a label, of its four, and two to four of chatter.

    Args:
        draws: the scenes' random numbers.
        labels: uint8 (N, 12), multi-hot over CLASSES.
    """
    place = {word: column for column, word in enumerate(VOCABULARY)}
    words = np.array([[place[word] for word in WORDS[name]] for name in CLASSES])
    counts = np.zeros((len(draws), len(VOCABULARY)), dtype=np.float32)

    picks = draws.integers("said", len(CLASSES), _SAID, below=words.shape[1])
    rows, classes = np.nonzero(labels)
    np.add.at(counts, (rows[:, None], words[classes[:, None], picks[rows, classes]]), 1)

    fewest, most = _CHATTER_RANGE
    chatter = np.array([place[word] for word in CHATTER])[draws.integers("chatter", most, below=len(CHATTER))]
    spoken = np.arange(most) < fewest + draws.integers("chattiness", 1, below=most - fewest + 1)
    rows, places = np.nonzero(spoken)
    np.add.at(counts, (rows, chatter[rows, places]), 1)
    return counts
