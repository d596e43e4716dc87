"""Weight files: where published ones are, and how files of other programs are read and compared with a network."""

from retbench.contracts.weights.foreign import load_weights, match_weights, read_weights
from retbench.contracts.weights.published import Weights, weights_root

__all__ = ["Weights", "load_weights", "match_weights", "read_weights", "weights_root"]
