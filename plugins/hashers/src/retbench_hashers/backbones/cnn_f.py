"""CNN-F, also called VGG-F, without its last layer, and the weights that it starts from.

Chatfield et al. 2014, "Return of the Devil in the Details: Delving Deep into Convolutional Nets", BMVC, table 1.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from retbench import Context, Facts, State, TrainingData, Weights, weights_root
from retbench_hashers.backbones.backbone import Backbone
from retbench_hashers.backbones.features import IMAGENET_MEAN, Features
from retbench_hashers.backbones.matconvnet_file import MatConvNetFile
from retbench_hashers.backbones.starting_weights import CNN_F_SUFFIXES, published_or_given
from retbench_hashers.backbones.weight_file import WeightFile

FILE = "imagenet-vgg-f.mat"
ADDRESS = f"https://www.vlfeat.org/matconvnet/models/{FILE}"
MD5 = "f666c61dc968c413ef664a7e17b01144"
"""Of the file at `ADDRESS`, by MatConvNet's list of models. Nobody publishes its sha256."""

Lrn = Literal["port", "exact"]
"""Variant of the local response normalization."""


class _Window(NamedTuple):
    """Number of neighboring channels that are summed, and a factor of the sum, which torch divides by that number."""

    size: int
    alpha: float


WINDOWS: dict[Lrn, _Window] = {"port": _Window(2, 1e-4), "exact": _Window(5, 5e-4)}
"""The published network divides x by (2 + 1e-4 * the sum of x^2 over five channels)^0.75: `exact`. The PyTorch code of
DCMH, DADH, CPAH and DGCPN sums over a channel and the one before it, times 5e-5: `port`."""


class CnnFBackbone(Backbone):
    """CNN-F (VGG-F) from ImageNet weights, from a file of one's own, or from random weights.

    A file is checked against the network before anything runs; the recipe holds its sha256, not its path. The
    published one has to be fetched by hand, because a download is checked against a published sha256.
    """

    name: ClassVar[str] = "cnn-f"
    source: ClassVar[str] = "Chatfield et al. 2014, table 1, CNN-F; MatConvNet's imagenet-vgg-f"

    weights: Annotated[str, AfterValidator(partial(published_or_given, suffixes=CNN_F_SUFFIXES))] = Field(
        "imagenet",
        description=f"imagenet (MatConvNet's {FILE}), random, or the path of a .mat, .pth, .pt or .safetensors file",
    )
    lrn: Lrn = Field(
        "port",
        description="local response normalization: port (a channel and the one before it, as in the PyTorch code of "
        "DCMH, DADH, CPAH and DGCPN) or exact (five channels, as the network was published)",
    )
    extra_padding: bool = Field(
        False, description="one more pixel of padding before the first maximum, as in the code of DADH and CPAH"
    )

    def build(self) -> CnnF:
        return CnnF(self.lrn, self.extra_padding)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the weights of the file, or fresh ones; nothing is trained.

        Raises:
            UserError: the file cannot be read, or holds another network's weights.
        """
        if self.weights == "random":
            return self.build().state_dict()
        return self._file.read(self.features())

    def supports(self, facts: Facts) -> str | None:
        """Return why it cannot work here: images of another size, or no weight file.

        Raises:
            UserError: the file cannot be read, or holds another network's weights.
        """
        height, width = facts.image_size
        side = CnnF.smallest_side
        if (height, width) != (side, side):
            return f"it has a mean image of {side} x {side}: got images of {height} x {width}; take {side} x {side}"
        if self.weights == "random":
            return None
        if not self._file.path.is_file():
            return f"no weights are there: got {self.weights!r}, expected a file; or take imagenet or random"
        self._file.check(self.features())
        return None

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (Weights(FILE, ADDRESS, "", f"none is stated; md5 {MD5}"),) if self.weights == "imagenet" else ()

    def files(self, facts: Facts) -> dict[str, Path]:
        if self.weights == "random":
            return {}
        return {"weights": self._file.path} if self._file.path.is_file() else {}

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        if self.weights == "random":
            return ("backbone cnn-f starts from random weights, not from ImageNet's",)
        if self.weights == "imagenet" and self.files(facts) and (digest := _md5(self._file.path)) != MD5:
            return (f"{FILE} is not the file that MatConvNet lists: md5 got {digest}, expected {MD5}",)
        return ()

    @property
    def _file(self) -> MatConvNetFile | WeightFile:
        path = weights_root() / FILE if self.weights == "imagenet" else Path(self.weights)
        return (MatConvNetFile if path.suffix == ".mat" else WeightFile)(path, self.name)


class CnnF(Features):
    """Five convolutions and two hidden layers of 4096; the weights carry the names of MatConvNet's layers.

    Images, kernels and mean image are upright; the code of DCMH, DADH and DGCPN transposes all three, which computes
    the same features. The mean image is a buffer, so that it is part of the state and moves with the weights. Without a
    file it has the mean color of ImageNet everywhere.

    Args:
        lrn: the local response normalization after the first two convolutions.
        extra_padding: one more pixel of padding on every side before the first maximum, as in the code of DADH, CPAH
            and AGAH. All later maps are then shifted against the published network's, and features differ.
    """

    width = 4096
    smallest_side = 224
    replaced = "fc8"
    mean: Tensor

    def __init__(self, lrn: Lrn = "port", extra_padding: bool = False) -> None:
        super().__init__()
        mean = 255 * torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1)
        self.register_buffer("mean", mean.repeat(1, self.smallest_side, self.smallest_side))
        self.conv1 = nn.Conv2d(3, 64, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(64, 256, kernel_size=5, padding=2)
        self.conv3 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.fc6 = nn.Conv2d(256, self.width, kernel_size=6)
        self.fc7 = nn.Conv2d(self.width, self.width, kernel_size=1)
        self.norm = nn.LocalResponseNorm(*WINDOWS[lrn], beta=0.75, k=2.0)
        # The maps hold nothing negative, so zeros around them change no maximum.
        self.pool1 = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(kernel_size=3, stride=2, padding=int(extra_padding))
        )
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, 4096), none negative, of images (B, 3, 224, 224) in [0, 1].

        Pixels are moved to 0..255 less the mean image in here, so that attacks see [0, 1].
        """
        maps = self.pool1(self.norm(F.relu(self.conv1(255 * images - self.mean))))
        maps = self.pool(self.norm(F.relu(self.conv2(maps))))
        maps = F.relu(self.conv4(F.relu(self.conv3(maps))))
        maps = self.pool(F.relu(self.conv5(maps)))
        return F.relu(self.fc7(F.relu(self.fc6(maps)))).flatten(1)


def _md5(path: Path) -> str:
    facts = path.stat()
    return _md5_of(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _md5_of(path: Path, size: int, modified: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
