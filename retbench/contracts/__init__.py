"""The contracts of plugins: the kinds of component, and the values that their methods take and return."""

from retbench.contracts.attack import Attack, AttackPart, BlackBoxAttack, Knowledge, Need, QueriedNetwork
from retbench.contracts.component import Component
from retbench.contracts.context import Context
from retbench.contracts.course import Course
from retbench.contracts.dataset import Dataset, ImageFile, data_root
from retbench.contracts.defense import Defense, Hardening, Purifier, part_state
from retbench.contracts.event import Event
from retbench.contracts.facts import SPLITS, Facts, Split
from retbench.contracts.hasher import Hasher, HashNetwork, Modality, relax, sign
from retbench.contracts.noise import Noise
from retbench.contracts.part import Part
from retbench.contracts.protocol import Protocol, TargetRule
from retbench.contracts.tensors import unit_images
from retbench.contracts.threat import Access, Ball, Goal, Threat
from retbench.contracts.training import TrainingData
from retbench.contracts.types import Batch, State
from retbench.contracts.weights import Weights, load_weights, match_weights, read_weights, weights_root

__all__ = [
    "SPLITS",
    "Access",
    "Attack",
    "AttackPart",
    "Ball",
    "Batch",
    "BlackBoxAttack",
    "Component",
    "Context",
    "Course",
    "Dataset",
    "Defense",
    "Event",
    "Facts",
    "Goal",
    "Hardening",
    "HashNetwork",
    "Hasher",
    "ImageFile",
    "Knowledge",
    "Modality",
    "Need",
    "Noise",
    "Part",
    "Protocol",
    "Purifier",
    "QueriedNetwork",
    "Split",
    "State",
    "TargetRule",
    "Threat",
    "TrainingData",
    "Weights",
    "data_root",
    "load_weights",
    "match_weights",
    "part_state",
    "read_weights",
    "relax",
    "sign",
    "unit_images",
    "weights_root",
]
