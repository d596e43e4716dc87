"""Measure the time of diffusion purifiers relative to the time of their bare U-Net calls.

    python benchmarks/purify.py                                     # a bundled denoiser
    python benchmarks/purify.py --network cifar10-32 --batch 8      # a published architecture with random weights
    python benchmarks/purify.py --network ddpm-256 --device cuda

Prints the median time of each variant, ratios of these times, images per second, and the share of the peak bf16 matrix
throughput that the U-Net reaches. All variants run in turn within each round, so that other load on the machine affects
them equally; a ratio is computed within each round, and its median printed. Images are random: the time does not depend
on them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.denoiser import (
    DenoiserMetadata,
    build_predictor,
    build_unet,
    pack_state,
    read_metadata,
)
from retbench_defenses.diffusion.chain import build_pass
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.purifier import DiffusionPurifier
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from retbench import Context, Noise, State, TrainingData
from retbench.catalog import load_catalog

DDPM_CONFIG = {
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "downsample_padding": 0,
    "attention_head_dim": None,
    "layers_per_block": 2,
}
NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {
    "cifar10-32": (
        32,
        {
            **DDPM_CONFIG,
            "block_out_channels": [128, 256, 256, 256],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        },
    ),
    "ddpm-256": (
        256,
        {
            **DDPM_CONFIG,
            "block_out_channels": [128, 128, 256, 256, 512, 512],
            "down_block_types": ["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
        },
    ),
    "adm-256": (
        256,
        {
            "out_channels": 6,
            "layers_per_block": 2,
            "block_out_channels": [256, 256, 512, 512, 1024, 1024],
            "down_block_types": ["ResnetDownsampleBlock2D"] * 3 + ["AttnDownBlock2D"] * 3,
            "up_block_types": ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"] * 3,
            "attention_head_dim": 64,
            "resnet_time_scale_shift": "scale_shift",
            "downsample_type": "resnet",
            "upsample_type": "resnet",
            "norm_num_groups": 32,
            "attn_norm_num_groups": 32,
        },
    ),
}
"""Image side and U-Net arguments of published networks: Ho et al. 2020 (google/ddpm-*), Dhariwal and Nichol 2021."""
RATIOS = (
    ("ddpm over its bare U-Net calls", "ddpm", "calls", "at most 1.10"),
    ("retpur over its bare U-Net calls", "retpur", "calls", "at most 1.20"),
    ("U-Net, float32 NCHW over bf16 channels last", "float32", "calls", "at least 1.6 for a bundled net"),
    ("noise in the time of ddpm", "ddpm noise", "ddpm", "below 0.05"),
    ("noise in the time of retpur", "retpur noise", "retpur", "below 0.05"),
)
"""Label, numerator, denominator and goal of each printed ratio."""
MATRIX_SIDE = 2048
"""Side of the matrices whose product measures the peak throughput."""


def main() -> None:
    """Time every variant and print the ratios with their goals."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    is_bundled = options.network == "bundled"
    state = _bundled_state(options.dataset, device) if is_bundled else _random_state(options.network, device)
    side = NETWORKS[options.network][0] if options.network in NETWORKS else 32
    images = torch.rand(options.batch, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    variants = _variants(state, images, options.steps, options.compile)
    with torch.no_grad():
        _time_variants(variants, device)  # warm-up
        rounds = [_time_variants(variants, device) for _ in range(options.repeats)]
    for name in variants:
        print(f"{name:13}{median(r[name] for r in rounds):8.3f} s")
    for label, numerator, denominator, goal in RATIOS:
        values = sorted(r[numerator] / r[denominator] for r in rounds)
        print(f"{label:45}{median(values):7.3f}   from {values[0]:.3f} to {values[-1]:.3f}, goal {goal}")
    _print_throughput(read_metadata(state).config, images, options.steps, rounds)


def _print_throughput(config: Any, images: Tensor, steps: int, rounds: list[dict[str, float]]) -> None:
    """Print images per second with 45 steps, and the share of the peak matrix throughput that the bare calls reach."""
    seconds_per_step = median(r["retpur"] for r in rounds) / steps
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build_unet(config)(torch.zeros(1, *images.shape[1:]), torch.zeros(1))
    operations = counter.get_total_flops() * len(images) * steps
    shares = sorted(operations / r["calls"] / (2 * MATRIX_SIDE**3 / r["product"]) for r in rounds)
    print(f"{'retpur, 45 steps, images per second':45}{len(images) / seconds_per_step / 45:7.3f}")
    print(f"{'bare calls, share of the bf16 matrix peak':45}{median(shares):7.3f}   ", end="")
    print(f"{counter.get_total_flops() / 1e9:.1f} GFLOP per call and image")


def _variants(state: State, images: Tensor, steps: int, compiled: bool) -> dict[str, Callable[[], object]]:
    device = images.device
    noise = Noise(0, tuple(f"query-{row}" for row in range(len(images))), device)
    shape = tuple(images.shape[1:])
    levels = [torch.tensor(step.level, device=device) for step in build_pass(steps, None).steps]
    purifier_options: dict[str, Any] = {"t_p": steps, "respace": None, "variance": "fixed_small", "compile": compiled}
    purifiers: dict[str, DiffusionPurifier] = {
        "ddpm": Ddpm(**purifier_options),
        "retpur": RetPur(**purifier_options),
    }
    purifier_state = {f"denoiser/{name}": tensor for name, tensor in state.items()}
    module = purifiers["ddpm"].module(purifier_state, device)
    float32_unet: Any = build_predictor(state, device).unet.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # the stub omits this argument
    channels_last_images = images.contiguous(memory_format=torch.channels_last)
    matrix = torch.randn(MATRIX_SIDE, MATRIX_SIDE, device=device, dtype=torch.bfloat16)

    def purify(name: str) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return purifiers[name].purify(images, module, noise)

    def call_unet(unet: Any, inputs: Tensor, autocast: bool) -> None:
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast):
            for level in levels:
                unet(inputs, level)

    def draw_noise(*purposes: str) -> None:
        for step in range(steps):
            for purpose in purposes:
                noise.normal(purpose, shape, step)

    return {
        "calls": lambda: call_unet(module.unet, channels_last_images, True),
        "ddpm": lambda: purify("ddpm"),
        "retpur": lambda: purify("retpur"),
        "float32": lambda: call_unet(float32_unet, images, False),
        "ddpm noise": lambda: draw_noise("reverse"),
        "retpur noise": lambda: draw_noise("reverse", "guide"),
        "product": lambda: matrix @ matrix,
    }


def _time_variants(variants: dict[str, Callable[[], object]], device: torch.device) -> dict[str, float]:
    seconds = {}
    for name, run in variants.items():
        _synchronize(device)
        start = time.perf_counter()
        run()
        _synchronize(device)
        seconds[name] = time.perf_counter() - start
    return seconds


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _bundled_state(name: str, device: torch.device) -> State:
    dataset: Any = load_catalog().entry("dataset", name).component.create()
    data = TrainingData(dataset, dataset.facts(), device)
    return BundledDenoiser().fit(data, Context(device, "float32", Noise(0, ("benchmark",))))


def _random_state(name: str, device: torch.device) -> State:
    side, config = NETWORKS[name]
    torch.manual_seed(0)
    metadata = DenoiserMetadata(json.loads(json.dumps(config)), 1000, (side, side))
    state = pack_state(build_unet(config).state_dict(), metadata)
    return {name: tensor.to(device) for name, tensor in state.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--network", choices=("bundled", *NETWORKS), default="bundled", help="U-Net (default: %(default)s)"
    )
    parser.add_argument("--dataset", default="digits", help="dataset of the bundled denoiser (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="images per batch (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=15, help="reverse steps (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="compile the bf16 network with torch.compile")
    return parser


if __name__ == "__main__":
    main()
