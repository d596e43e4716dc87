"""The network that an attack receives: with its purifiers, differentiable or closed up to counted queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from retbench.contracts import (
    Access,
    Attack,
    Batch,
    BlackBoxAttack,
    Component,
    Hasher,
    HashNetwork,
    Noise,
    Purifier,
    QueriedNetwork,
    relax,
    sign,
)
from retbench.contracts.tensors import check_shape, check_tensor, contract_breach
from retbench.contracts.tensors.settings import keep_settings
from retbench.stages.check import check_images, check_outputs


@dataclass(frozen=True)
class AttackedPipeline:
    """What an attack attacks: purifiers, for an adaptive attacker, and the network of the hasher.

    Attributes:
        network: the network of the hasher, frozen and in eval mode.
        purifiers: the purifiers with their modules, in order; empty for an oblivious attacker.
        hasher: the hasher of the network, whose outputs are checked before a black-box attack sees them; None without
            a check.
    """

    network: HashNetwork
    purifiers: Sequence[tuple[Purifier, nn.Module]] = ()
    hasher: Hasher | None = None

    def logits(self, images: Tensor, noise: Noise, *, checked: bool = False) -> Tensor:
        """Return the logits (N, K) of images (N, 3, H, W), each purified once with its row of the noise.

        With `checked`, purified images and logits pass the checks of every stage, which cut gradients.
        """
        for position, (purifier, module) in enumerate(self.purifiers):
            with keep_settings(purifier):
                purified = purifier.purify(images, module, noise.at_position(position))
            images = check_images(purified, images, purifier) if checked else purified
        logits = self.network.image(images)
        if not checked or self.hasher is None:
            return logits
        return check_outputs(logits, self.hasher, "logits", (len(images), None), images.device)


def make_attacked_network(
    attack: Attack, pipeline: AttackedPipeline, batch: Batch, noise: Noise, seed: int
) -> HashNetwork:
    """Return the network that an attack receives for a batch.

    That is the hasher's network, with the purifiers of an adaptive threat in front, or for a black-box attack a network
    that only answers queries, as many as its budget has.

    Args:
        attack: the attack.
        pipeline: the attacked pipeline.
        batch: the queries.
        noise: the attacker's noise; that of the purifiers which it differentiates is derived from it.
        seed: the cell's seed; from it comes the noise of the purifiers which a black-box attack queries, because the
            attacker cannot know that.
    """
    if isinstance(attack, BlackBoxAttack):
        return _BudgetedNetwork(attack, pipeline, batch, Noise(seed, batch.ids, noise.device).derive("queried"))
    return WhiteBoxNetwork(pipeline, len(batch.ids), noise)


def make_fitting_network(component: Component, access: Access, network: HashNetwork) -> HashNetwork:
    """Return the network that an attack, or a part of one, receives while it is fitted: none for black-box access."""
    return network if access == "gradient" else _ClosedNetwork(component, access)


class WhiteBoxNetwork(HashNetwork):
    """The pipeline that an attacker differentiates: purifiers, with new noise at every call, then the hasher.

    It also observes whether the gradients with respect to the images are all 0, as behind a purifier that rounds: an
    attack without gradients says nothing about robustness (Athalye et al. 2018, Obfuscated Gradients).

    Args:
        pipeline: the attacked pipeline.
        size: the number of queries B of the batch.
        noise: the attacker's noise.

    Attributes:
        network: the hasher's network, with its weights.
    """

    def __init__(self, pipeline: AttackedPipeline, size: int, noise: Noise) -> None:
        super().__init__()
        self.network, self.pipeline, self.noise, self.calls = pipeline.network, pipeline, noise.derive("purifier"), 0
        self._gradients = torch.full((size,), -1, dtype=torch.int8)
        self.training = self.network.training

    def image(self, images: Tensor) -> Tensor:
        self.calls += 1
        if images.requires_grad:
            images.register_hook(self._observe)  # type: ignore[no-untyped-call]  # torch leaves it without types
        return self.pipeline.logits(images, self.noise.copy(self.calls))

    def text(self, texts: Tensor) -> Tensor:
        return self.network.text(texts)

    def from_features(self, features: Tensor) -> Tensor:
        return self.network.from_features(features)

    @property
    def gradients(self) -> Tensor:
        """Whether each query had a gradient that was not 0: int8 (B,); 1, 0, or -1 if none was computed for it."""
        return self._gradients.cpu()

    def _observe(self, gradient: Tensor) -> None:
        """Note which rows of a gradient (N, 3, H, W) are not 0; rows that are no copies of the batch count for all."""
        found, size = (gradient.detach().flatten(1) != 0).any(1), len(self._gradients)
        copies = found.reshape(-1, size) if size and len(found) % size == 0 else found[:, None]
        self._gradients = torch.maximum(self._gradients.to(found.device), copies.any(0).to(torch.int8))


class _ClosedNetwork(QueriedNetwork):
    """A network that shows nothing of the attacked one; every use is a breach of the attack's contract."""

    def __init__(self, component: Component, access: Access) -> None:
        super().__init__()
        self.component, self.access = component, access
        self.eval()

    def image(self, images: Tensor) -> Tensor:
        self._refuse_fit()

    def query(self, images: Tensor, rows: Tensor) -> Tensor:
        self._refuse_fit()

    @property
    def used(self) -> Tensor:
        return torch.zeros(0, dtype=torch.int64)

    @property
    def remaining(self) -> Tensor:
        return torch.zeros(0, dtype=torch.int64)

    def text(self, texts: Tensor) -> Tensor:
        self._refuse("text")

    def from_features(self, features: Tensor) -> Tensor:
        self._refuse("from_features")

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        self._refuse("parameters")

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        self._refuse("named_parameters")

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        self._refuse("state_dict")

    def _refuse(self, name: str) -> NoReturn:
        problem = f"it used network.{name}: got access {self.access}, expected calls of network.image or network.query"
        raise contract_breach(self.component, f"{problem}, or access gradient")

    def _refuse_fit(self) -> NoReturn:
        problem = f"it queried the network in fit: got access {self.access}, expected queries in perturb only"
        raise contract_breach(self.component, f"{problem}, which are counted; `needs` grants codes for fit")


class _BudgetedNetwork(_ClosedNetwork):
    """A network that answers the queries of a black-box attack for one batch, within its budget.

    Its attributes lead to the attack and to the functions that answer and count, and not to the attacked network.
    """

    def __init__(self, attack: BlackBoxAttack, pipeline: AttackedPipeline, batch: Batch, noise: Noise) -> None:
        super().__init__(attack, attack.access)
        self._answer, self._copy_used = _open_queries(attack, pipeline, batch, noise)
        self._budget = attack.query_budget

    def image(self, images: Tensor) -> Tensor:
        return self._answer(images, None)

    def query(self, images: Tensor, rows: Tensor) -> Tensor:
        return self._answer(images, rows)

    @property
    def used(self) -> Tensor:
        return self._copy_used()

    @property
    def remaining(self) -> Tensor:
        return self._budget - self._copy_used()


def _open_queries(
    attack: BlackBoxAttack, pipeline: AttackedPipeline, batch: Batch, noise: Noise
) -> tuple[Callable[[Tensor, Tensor | None], Tensor], Callable[[], Tensor]]:
    """Return a function that answers and counts queries, and one that returns the queries used for each row.

    Network and counts are variables of these functions, so that no attribute leads to them. The first function takes
    images and the row of each; None for copies of the whole batch.
    """
    clean, size = batch.images, len(batch.ids)
    used = torch.zeros(size, dtype=torch.int64)

    def answer(images: Tensor, rows: Tensor | None) -> Tensor:
        checked = _check_queried_images(images, attack, clean)
        indices = _repeat_rows(attack, len(checked), size) if rows is None else _check_rows(rows, attack, checked, size)
        counts = used + torch.bincount(indices, minlength=size)
        if (counts > attack.query_budget).any():
            over = int((counts > attack.query_budget).nonzero()[0, 0])
            problem = f"it used {int(counts[over])} queries for query {batch.ids[over]}"
            raise contract_breach(attack, f"{problem}: expected at most query_budget={attack.query_budget}")
        draws = noise.draws(indices.tolist(), _number_queries(indices, used))
        used.copy_(counts)
        with torch.no_grad():
            logits = pipeline.logits(checked, draws, checked=True).float()
            return relax(logits) if attack.access == "score" else sign(logits).float()

    return answer, used.clone


def _number_queries(rows: Tensor, used: Tensor) -> list[int]:
    """Return for each image how many queries its row has had before it: int64 rows (N,), used (B,)."""
    order = torch.argsort(rows, stable=True)
    counts = torch.bincount(rows, minlength=len(used))
    starts = counts.cumsum(0) - counts
    numbers = torch.empty_like(rows)
    numbers[order] = torch.arange(len(rows)) - starts[rows[order]]
    numbers += used[rows]
    return numbers.tolist()


def _check_queried_images(images: object, attack: BlackBoxAttack, clean: Tensor) -> Tensor:
    """Return a copy of queried images, after checking that they are plain images of the size of the clean ones.

    Images that require gradients are refused, and tensors of `torch.func`, which may stand for many images.
    """
    if isinstance(images, Tensor) and images.requires_grad:
        problem = f"it queried images that require gradients: access {attack.access} has none"
        raise contract_breach(attack, f"{problem}; detach them, or use access gradient")
    checked = check_tensor(images, attack, "queried images", (torch.float32,), clean.device)
    check_shape(checked, attack, "queried images", (None, *clean.shape[1:]))
    try:
        checked.data_ptr()
    except RuntimeError:
        problem = "it queried images inside a transform of torch.func, expected one image for each query"
        raise contract_breach(attack, problem) from None
    return check_images(checked, checked, attack)


def _repeat_rows(attack: BlackBoxAttack, count: int, size: int) -> Tensor:
    """Return the row of each image of several copies of a batch, copy after copy: int64 (N,)."""
    if count % size if size else count:
        problem = f"network.image: wrong number of images: got {count}, expected a multiple of the {size} of the batch"
        raise contract_breach(attack, f"{problem}, copy after copy; for other images use network.query(images, rows)")
    return torch.arange(size).repeat(count // size if size else 0)


def _check_rows(rows: object, attack: BlackBoxAttack, images: Tensor, size: int) -> Tensor:
    """Return the rows of queried images on the CPU, after checking that each is a row of the batch."""
    device = rows.device if isinstance(rows, Tensor) else images.device
    checked = check_tensor(rows, attack, "rows of queried images", (torch.int64,), device).cpu()
    check_shape(checked, attack, "rows of queried images", (len(images),))
    if len(checked) and not 0 <= int(checked.min()) <= int(checked.max()) < size:
        got = f"got {int(checked.min())} to {int(checked.max())}, expected 0 to {size - 1}"
        raise contract_breach(attack, f"rows of queried images outside the batch: {got}")
    return checked
