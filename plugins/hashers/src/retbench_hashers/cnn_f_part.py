"""CNN-F with the weights that it starts from."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from retbench import Context, Facts, State, TrainingData, Weights, weights_root
from retbench_hashers.backbone import Backbone
from retbench_hashers.cnn_f import CnnF, Lrn
from retbench_hashers.matconvnet import MatConvNetFile
from retbench_hashers.weight_file import SUFFIXES, WeightFile

FILE = "imagenet-vgg-f.mat"
ADDRESS = f"https://www.vlfeat.org/matconvnet/models/{FILE}"
MD5 = "f666c61dc968c413ef664a7e17b01144"
"""Of the file at `ADDRESS`, by MatConvNet's list of models. Nobody publishes its sha256."""


def source_of_weights(value: str) -> str:
    """Returns `value` if it is `imagenet`, `random`, or ends as a file of weights does; raises ValueError."""
    if value not in ("imagenet", "random") and not value.endswith((".mat", *SUFFIXES)):
        raise ValueError(f"expected imagenet, random, or a path that ends in .mat, {', '.join(SUFFIXES)}")
    return value


class CnnFBackbone(Backbone):
    """CNN-F (VGG-F) from ImageNet weights, from a file of one's own, or from random weights.

    A file is checked against the network before anything runs; its sha256 stands in the recipe, not its path. The
    published one has to be fetched by hand, because a download is checked against a published sha256.
    """

    name: ClassVar[str] = "cnn-f"
    source: ClassVar[str] = "Chatfield et al. 2014, table 1, CNN-F; MatConvNet's imagenet-vgg-f"

    weights: Annotated[str, AfterValidator(source_of_weights)] = Field(
        "imagenet",
        description=f"imagenet (MatConvNet's {FILE}), random, or the path of a .mat, .pth, .pt or .safetensors file",
    )
    lrn: Lrn = Field(
        "port",
        description="local response normalisation: port (a channel and the one before it, as in the PyTorch code of "
        "DCMH, DADH, CPAH and DGCPN) or exact (five channels, as the network was published)",
    )
    extra_padding: bool = Field(
        False, description="one more pixel of padding before the first maximum, as in the code of DADH and CPAH"
    )

    def build(self) -> CnnF:
        return CnnF(self.lrn, self.extra_padding)

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        """Returns the weights of the file, or fresh ones; nothing is trained.

        Raises:
            UserError: the file cannot be read, or holds another network's weights.
        """
        if self.weights == "random":
            return self.build().state_dict()
        return self._file.read(self.features())

    def supports(self, facts: Facts) -> str | None:
        """Returns why images have another size, or that no file is there.

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


def _md5(path: Path) -> str:
    facts = path.stat()
    return _md5_of(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _md5_of(path: Path, size: int, modified: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
