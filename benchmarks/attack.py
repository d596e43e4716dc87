"""Measure the time per step of each iterative attack relative to one forward and input-gradient pass.

    python benchmarks/attack.py [--batch 64] [--side 32] [--steps 30] [--repeats 7] [--device cpu]

Both are timed in turn, in one process, on the same network, batch and device: the conv backbone with a hash layer of 32
bits, frozen, channels last, with 5000 random training codes and 10 000 random database codes. The time of an attack
includes its initialization before the first step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from retbench_attacks.iterative.dhta import DHTA
from retbench_attacks.iterative.hag import HAG
from retbench_attacks.iterative.sdha import SDHA
from retbench_attacks.iterative.tha import THA
from retbench_attacks.prototypes.tha_prototypes import ThaPrototypes
from retbench_hashers.backbones.conv import ConvFeatures
from retbench_hashers.supervised.supervised_hasher import SupervisedNetwork
from torch import Tensor

from retbench import Attack, Batch, Context, HashNetwork, Knowledge, Noise, State, TrainingData, sign, unit_images
from retbench.testing import ToyDataset

BITS, ITEMS = 32, 5000


def main() -> None:
    """Print the times and the ratio for each attack."""
    options = parse_options()
    device = torch.device(options.device)
    network = SupervisedNetwork(ConvFeatures(), BITS).requires_grad_(False).eval().to(device)
    network.to(memory_format=torch.channels_last)
    knowledge, batch = draw_inputs(network, options.batch, options.side, device)
    print(f"device {device}, threads {torch.get_num_threads()}, batch {options.batch}, side {options.side}, float32")
    print(f"load before {os.getloadavg()[0]:.2f}, {options.repeats} repeats of {options.steps} steps, medians in ms")
    print(f"{'attack':<14}{'pass':>9}{'step':>9}{'ratio':>8}")

    def compute_gradients() -> None:
        for _ in range(options.steps):
            pixels = batch.images.detach().requires_grad_()
            torch.autograd.grad(network.image(pixels).sum(), pixels)

    for name, attack in list_attacks(options.steps).items():
        perturb = prepare_attack(attack, knowledge, batch)
        pass_seconds, attack_seconds = time_alternately(compute_gradients, perturb, options.repeats, device)
        pass_ms, step_ms = 1000 * pass_seconds / options.steps, 1000 * attack_seconds / options.steps
        print(f"{name:<14}{pass_ms:>9.2f}{step_ms:>9.2f}{step_ms / pass_ms:>8.3f}", flush=True)


def parse_options() -> argparse.Namespace:
    """Return the command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="images per batch (default: %(default)s)")
    parser.add_argument("--side", type=int, default=32, help="image side in pixels (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=30, help="attack steps (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    return parser.parse_args()


def list_attacks(steps: int) -> dict[str, Attack]:
    """Return the attacks by name; the training of THA's prototype net is short, because it is not timed."""
    return {
        "dhta": DHTA(steps=steps),
        "tha": THA(steps=steps, prototypes=ThaPrototypes(steps=1)),
        "hag": HAG(steps=steps),
        "hag of atrdh": HAG(steps=steps, form="atrdh", alpha="constant", random_start=True),
        "sdha": SDHA(steps=steps),
        "sdha targeted": SDHA(steps=steps, targeted=True),
    }


def prepare_attack(attack: Attack, knowledge: Knowledge, batch: Batch) -> Callable[[], None]:
    """Return a function that attacks this batch; the attack's parts are fitted before."""
    noise = Noise(0, batch.ids, batch.images.device)
    context = Context(batch.images.device, "float32", Noise(0, (attack.name,), batch.images.device))
    parts: Mapping[str, State] = {
        role: part.fit(knowledge, context) for role, part in attack.parts(knowledge.facts).items()
    }
    state = {f"{role}/{name}": tensor for role, own in parts.items() for name, tensor in own.items()}
    module = attack.module(state, batch.images.device)

    def perturb() -> None:
        attack.perturb(knowledge, batch, module, noise)

    return perturb


def draw_inputs(network: HashNetwork, count: int, side: int, device: torch.device) -> tuple[Knowledge, Batch]:
    """Return training and database items with random codes, and queries whose targets are the first database items."""
    dataset = ToyDataset(queries=count, database=2 * ITEMS, side=side)
    labels, training = dataset.labels("database").to(device), TrainingData(dataset, dataset.facts(), device)
    rows = torch.arange(count, device=device)
    images = unit_images(dataset.images("query", range(count)), device)
    targets = labels[(rows + 1) % len(labels)]
    batch = Batch(tuple(dataset.ids("query")), images, dataset.labels("query").to(device), targets, rows + 1)
    grants = {
        "training_codes": draw_codes(ITEMS, device),
        "database_labels": labels,
        "database_codes": draw_codes(2 * ITEMS, device),
    }
    return Knowledge(network, dataset.facts(), training, grants), batch


def draw_codes(items: int, device: torch.device) -> Tensor:
    """Return random codes int8 (items, BITS)."""
    return sign(torch.randn(items, BITS, device=device))


def time_alternately(
    first: Callable[[], None], second: Callable[[], None], repeats: int, device: torch.device
) -> tuple[float, float]:
    """Return the median seconds of both functions, run alternately, so that other load affects both equally."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for work, times in zip((first, second), seconds, strict=True):
            begin = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat:
                times.append(time.perf_counter() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


if __name__ == "__main__":
    main()
