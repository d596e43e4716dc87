"""A published backbone with the weights that it starts from."""

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
from retbench_hashers.backbones.starting_weights import published_or_given
from retbench_hashers.backbones.vgg import VGG
from retbench_hashers.backbones.weight_file import WeightFile

ADDRESS = "https://download.pytorch.org/models/"
LICENSE = "BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow non-commercial research"


class Published(NamedTuple):
    """A network and the file of its ImageNet weights (torchvision's IMAGENET1K_V1), whose name ends in its sha256."""

    build: Callable[[], Features]
    file: str


ARCHITECTURES = {
    "alexnet": Published(AlexNet, "alexnet-owt-7be5be79.pth"),
    "vgg11": Published(lambda: VGG(11), "vgg11-8a719046.pth"),
    "vgg16": Published(lambda: VGG(16), "vgg16-397923af.pth"),
    "resnet18": Published(lambda: ResNet(18), "resnet18-f37072fd.pth"),
    "resnet50": Published(lambda: ResNet(50), "resnet50-0676ba61.pth"),
}
Architecture = Literal["alexnet", "vgg11", "vgg16", "resnet18", "resnet50"]


class Pretrained(Backbone):
    """AlexNet, VGG or ResNet from ImageNet weights, from a file of one's own, or from random weights.

    A file is checked against the architecture before anything runs; the recipe holds its sha256, not its path.
    """

    name: ClassVar[str] = "pretrained"
    source: ClassVar[str] = (
        "torchvision's published models; Krizhevsky 2014; Simonyan and Zisserman 2015; He et al. 2016"
    )

    architecture: Architecture = Field("vgg11", description="which network")
    weights: Annotated[str, AfterValidator(published_or_given)] = Field(
        "imagenet",
        description="imagenet (torchvision's IMAGENET1K_V1), random, or the path of a .pth or .safetensors file",
    )

    def build(self) -> Features:
        return ARCHITECTURES[self.architecture].build()

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the weights of the file, or fresh ones; nothing is trained.

        Raises:
            UserError: the file cannot be read, or holds another network's weights.
        """
        if self.weights == "random":
            return self.build().state_dict()
        return WeightFile(self._path, self.architecture).read(self.features())

    def supports(self, facts: Facts) -> str | None:
        """Return why it cannot work here: images that are too small, or no weight file.

        Raises:
            UserError: the given file cannot be read, or holds another network's weights.
        """
        if reason := super().supports(facts):
            return reason
        if self.weights in ("imagenet", "random"):
            return None
        if not self._path.is_file():
            return f"no weights are there: got {self.weights!r}, expected a file; or take imagenet or random"
        WeightFile(self._path, self.architecture).check(self.features())
        return None

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (self.published,) if self.weights == "imagenet" else ()

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
        return self.published.path if self.weights == "imagenet" else Path(self.weights)

    @property
    def published(self) -> Weights:
        """The file of the ImageNet weights."""
        file = ARCHITECTURES[self.architecture].file
        return Weights(file, ADDRESS + file, Path(file).stem.rpartition("-")[2], LICENSE)
