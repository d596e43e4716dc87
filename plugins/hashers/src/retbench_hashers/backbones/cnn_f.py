"""CNN-F, also called VGG-F, without its last layer, and its weight files.

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
from retbench_hashers.backbones.weight_file import WeightFile
from retbench_hashers.backbones.weights_option import CNN_F_SUFFIXES, check_weights_option

FILE_NAME = "imagenet-vgg-f.mat"
URL = f"https://www.vlfeat.org/matconvnet/models/{FILE_NAME}"
MD5 = "f666c61dc968c413ef664a7e17b01144"
"""md5 of the file at `URL`, from MatConvNet's list of models. No sha256 of it is published."""

LrnVariant = Literal["port", "exact"]
"""Variant of the local response normalization."""


class _LrnSettings(NamedTuple):
    """Size and alpha of `nn.LocalResponseNorm`, which divides alpha by size."""

    size: int
    alpha: float


LRN_SETTINGS: dict[LrnVariant, _LrnSettings] = {"port": _LrnSettings(2, 1e-4), "exact": _LrnSettings(5, 5e-4)}
"""`exact`, as published: x / (2 + 1e-4 * the sum of x^2 over five channels)^0.75. `port`, as in the PyTorch code of
DCMH, DADH, CPAH and DGCPN: the sum is over a channel and the one before it, and its factor is 5e-5."""


class CnnFBackbone(Backbone):
    """CNN-F (VGG-F) with ImageNet weights, weights from a given file, or random weights.

    A file is checked against the network before anything runs; the recipe holds its sha256, not its path. The
    published file has to be downloaded by hand, because no sha256 is published to check a download against.
    """

    name: ClassVar[str] = "cnn-f"
    source: ClassVar[str] = "Chatfield et al. 2014, table 1, CNN-F; MatConvNet's imagenet-vgg-f"

    weights: Annotated[str, AfterValidator(partial(check_weights_option, suffixes=CNN_F_SUFFIXES))] = Field(
        "imagenet",
        description=f"imagenet (MatConvNet's {FILE_NAME}), random, or the path of a .mat, .pth, .pt or .safetensors "
        "file",
    )
    lrn: LrnVariant = Field(
        "port",
        description="local response normalization: port (a channel and the one before it, as in the PyTorch code of "
        "DCMH, DADH, CPAH and DGCPN) or exact (five channels, as the network was published)",
    )
    extra_padding: bool = Field(
        False, description="one more pixel of padding before the first max pooling, as in the code of DADH and CPAH"
    )

    def build(self) -> CnnF:
        return CnnF(self.lrn, self.extra_padding)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Return the weights of the file, or random ones; nothing is trained.

        Raises:
            UserError: the file cannot be read, or holds the weights of another network.
        """
        if self.weights == "random":
            return self.build().state_dict()
        return self._weight_file.read(self.features())

    def supports(self, facts: Facts) -> str | None:
        """Return why it cannot be used: images of another size, or a missing weight file.

        Raises:
            UserError: the file cannot be read, or holds the weights of another network.
        """
        height, width = facts.image_size
        side = CnnF.min_side
        if (height, width) != (side, side):
            return f"wrong image size: got {height}x{width}, expected {side}x{side}, the size of its mean image"
        if self.weights == "random":
            return None
        if not self._weight_file.path.is_file():
            return f"weight file missing: got {self.weights!r}, expected an existing file, imagenet or random"
        self._weight_file.check(self.features())
        return None

    def downloads(self, facts: Facts) -> tuple[Weights, ...]:
        return (Weights(FILE_NAME, URL, "", f"none is stated; md5 {MD5}"),) if self.weights == "imagenet" else ()

    def files(self, facts: Facts) -> dict[str, Path]:
        if self.weights == "random":
            return {}
        return {"weights": self._weight_file.path} if self._weight_file.path.is_file() else {}

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        if self.weights == "random":
            return ("backbone cnn-f starts from random weights, not from ImageNet's",)
        if self.weights == "imagenet" and self.files(facts) and (digest := _md5(self._weight_file.path)) != MD5:
            return (f"{FILE_NAME} is not the file that MatConvNet lists: md5 got {digest}, expected {MD5}",)
        return ()

    @property
    def _weight_file(self) -> MatConvNetFile | WeightFile:
        path = weights_root() / FILE_NAME if self.weights == "imagenet" else Path(self.weights)
        return (MatConvNetFile if path.suffix == ".mat" else WeightFile)(path, self.name)


class CnnF(Features):
    """Five convolutions and two hidden layers of 4096; the weights have the names of MatConvNet's layers.

    Images, kernels and mean image are upright; the code of DCMH, DADH and DGCPN transposes all three, which gives the
    same features. The mean image is a buffer, and thus part of the state. Without a file, each of its pixels has the
    mean color of ImageNet.

    Args:
        lrn: the local response normalization after the first two convolutions.
        extra_padding: one more pixel of padding on every side before the first pooling, as in the code of DADH, CPAH
            and AGAH. It shifts all later maps, so features differ from those of the published network.
    """

    width = 4096
    min_side = 224
    replaced_layer = "fc8"
    mean: Tensor

    def __init__(self, lrn: LrnVariant = "port", extra_padding: bool = False) -> None:
        super().__init__()
        mean = 255 * torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1)
        self.register_buffer("mean", mean.repeat(1, self.min_side, self.min_side))
        self.conv1 = nn.Conv2d(3, 64, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(64, 256, kernel_size=5, padding=2)
        self.conv3 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.fc6 = nn.Conv2d(256, self.width, kernel_size=6)
        self.fc7 = nn.Conv2d(self.width, self.width, kernel_size=1)
        self.norm = nn.LocalResponseNorm(*LRN_SETTINGS[lrn], beta=0.75, k=2.0)
        # The maps are not negative, so padding with zeros changes no maximum.
        self.pool1 = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(kernel_size=3, stride=2, padding=int(extra_padding))
        )
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Return non-negative features (B, 4096) of images (B, 3, 224, 224) in [0, 1].

        Pixels are scaled to 0..255 and the mean image is subtracted inside the network.
        """
        maps = self.pool1(self.norm(F.relu(self.conv1(255 * images - self.mean))))
        maps = self.pool(self.norm(F.relu(self.conv2(maps))))
        maps = F.relu(self.conv4(F.relu(self.conv3(maps))))
        maps = self.pool(F.relu(self.conv5(maps)))
        return F.relu(self.fc7(F.relu(self.fc6(maps)))).flatten(1)


def _md5(path: Path) -> str:
    status = path.stat()
    return _cached_md5(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _cached_md5(path: Path, size: int, modified: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
