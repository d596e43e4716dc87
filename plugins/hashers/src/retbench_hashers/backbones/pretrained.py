"""Published backbones and their weight files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field

from retbench import Context, Facts, State, TrainingData, Weights
from retbench_hashers.backbones.alexnet import AlexNet
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.features import Features
from retbench_hashers.backbones.resnet import ResNet
from retbench_hashers.backbones.vgg import VGG
from retbench_hashers.backbones.weight_file import WeightFile
from retbench_hashers.backbones.weights_option import check_weights_option

URL_PREFIX = "https://download.pytorch.org/models/"
LICENSE = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow non-commercial research"


class PublishedNetwork(NamedTuple):
    """A network and the file of its ImageNet weights (torchvision's IMAGENET1K_V1)."""

    build: Callable[[], Features]
    file: str  # its name ends in the first digits of its sha256


ARCHITECTURES = {
    "alexnet": PublishedNetwork(AlexNet, "alexnet-owt-7be5be79.pth"),
    "vgg11": PublishedNetwork(lambda: VGG(11), "vgg11-8a719046.pth"),
    "vgg16": PublishedNetwork(lambda: VGG(16), "vgg16-397923af.pth"),
    "resnet18": PublishedNetwork(lambda: ResNet(18), "resnet18-f37072fd.pth"),
    "resnet50": PublishedNetwork(lambda: ResNet(50), "resnet50-0676ba61.pth"),
}
ArchitectureName = Literal["alexnet", "vgg11", "vgg16", "resnet18", "resnet50"]


class Pretrained(Backbone):
    """AlexNet, VGG or ResNet with ImageNet weights, weights from a given file, or random weights.

    A file is checked against the architecture before anything runs; the recipe holds its sha256, not its path.
    """

    name: ClassVar[str] = "pretrained"
    source: ClassVar[str] = (
        "torchvision's published models; Krizhevsky 2014; Simonyan and Zisserman 2015; He et al. 2016"
    )

    architecture: ArchitectureName = Field("vgg11", description="architecture of the network")
    weights: Annotated[str, AfterValidator(check_weights_option)] = Field(
        "imagenet",
        description="imagenet (torchvision's IMAGENET1K_V1), random, or the path of a .pth or .safetensors file",
    )

    def build(self) -> Features:
        return ARCHITECTURES[self.architecture].build()

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the weights of the file, or random ones; nothing is trained.

        Raises:
            UserError: the file cannot be read, or holds the weights of another network.
        """
        if self.weights == "random":
            return self.build().state_dict()
        return WeightFile(self._path, self.architecture).read(self.features())

    def supports(self, facts: Facts) -> str | None:
        """Return why it cannot be used: images that are too small, or a missing weight file.

        Raises:
            UserError: the given file cannot be read, or holds the weights of another network.
        """
        if reason := super().supports(facts):
            return reason
        if self.weights in ("imagenet", "random"):
            return None
        if not self._path.is_file():
            return f"weight file missing: got {self.weights!r}, expected an existing file, imagenet or random"
        WeightFile(self._path, self.architecture).check(self.features())
        return None

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (self.published_weights,) if self.weights == "imagenet" else ()

    def files(self, facts: Facts) -> dict[str, Path]:
        if self.weights == "random":
            return {}
        return {"weights": self._path} if self._path.is_file() else {}

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        if self.weights == "random":
            return (f"backbone {self.architecture} starts from random weights, not from ImageNet's",)
        return ()

    @property
    def _path(self) -> Path:
        return self.published_weights.path if self.weights == "imagenet" else Path(self.weights)

    @property
    def published_weights(self) -> Weights:
        """The file of the ImageNet weights."""
        file = ARCHITECTURES[self.architecture].file
        return Weights(file, URL_PREFIX + file, Path(file).stem.rpartition("-")[2], LICENSE)
