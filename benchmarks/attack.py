"""Prints what one step of an attack costs, as a multiple of one forward and one input-gradient pass of its network.

Both are timed in turn, in one process, on the same network, batch and device: the conv backbone with a hash layer of 32
bits, frozen. Run: python benchmarks/attack.py [--batch 64] [--side 32] [--steps 20] [--repeats 7] [--device cpu]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from retbench_attacks.dhta import DHTA
from retbench_hashers.conv import ConvFeatures
from retbench_hashers.pairwise import PairwiseNetwork
from torch import Tensor

from retbench import Batch, Facts, HashNetwork, Knowledge, Noise, sign

BITS, CLASSES, ITEMS = 32, 12, 5000


def main() -> None:
    options = parse_options()
    device = torch.device(options.device)
    network = PairwiseNetwork(ConvFeatures(), BITS).requires_grad_(False).eval().to(device)
    images = torch.rand(options.batch, 3, options.side, options.side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    knowledge, batch = draw_problem(network, images)
    attack = DHTA(steps=options.steps, eps=8 / 255)
    noise = Noise(0, batch.ids, device)

    def pass_once() -> None:
        for _ in range(options.steps):
            pixels = images.detach().requires_grad_()
            torch.autograd.grad(network.image(pixels).sum(), pixels)

    def perturb() -> None:
        attack.perturb(knowledge, batch, {}, noise)

    passes, steps = time_in_turn(pass_once, perturb, options.repeats, device)
    print(f"device {device}, threads {torch.get_num_threads()}, batch {options.batch}, side {options.side}, float32")
    print(f"forward and input gradient  {1000 * passes / options.steps:8.2f} ms")
    print(f"one step of the attack      {1000 * steps / options.steps:8.2f} ms")
    print(f"ratio                       {steps / passes:8.3f}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def draw_problem(network: HashNetwork, images: Tensor) -> tuple[Knowledge, Batch]:
    """Returns a database of random codes with one label each, and queries aimed at its first items."""
    device, count = images.device, len(images)
    labels = torch.eye(CLASSES, dtype=torch.uint8, device=device)[torch.arange(ITEMS, device=device) % CLASSES]
    codes = sign(torch.randn(ITEMS, BITS, device=device))
    size = (images.shape[2], images.shape[3])
    classes = tuple(f"class-{index}" for index in range(CLASSES))
    facts = Facts("random", size, classes, {"train": 0, "query": count, "database": ITEMS}, bits=BITS)
    rows = torch.arange(count, device=device)
    ids = tuple(f"query-{row}" for row in range(count))
    batch = Batch(ids, images, labels[:count], labels[:count].roll(1, dims=1), rows)
    return Knowledge(network, facts, grants={"database_labels": labels, "database_codes": codes}), batch


def time_in_turn(
    first: Callable[[], None], second: Callable[[], None], repeats: int, device: torch.device
) -> tuple[float, float]:
    """Returns the median seconds of both, run alternately, so that a drift of the machine meets both."""
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
