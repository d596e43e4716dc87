import subprocess
import sys

from retbench_defenses.plugin import retbench_defenses


def test_the_hook_offers_every_defense() -> None:
    diffusion = ["ddpm", "diffpure", "gdmp", "gradual", "retpur", "retpur-literal"]
    cheap = [
        "bit-depth",
        "gaussian-blur",
        "gaussian-noise",
        "identity",
        "jpeg",
        "median",
        "random-resize-pad",
        "resize",
    ]
    assert [defense.name for defense in retbench_defenses()] == ["atrdh", *diffusion, *cheap, "tv"]


def test_finding_the_plugin_loads_neither_torch_nor_diffusers() -> None:
    code = "import sys, retbench_defenses.plugin; print(*{'torch', 'diffusers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_the_defenses_load_without_diffusers() -> None:
    code = (
        "import sys; from retbench_defenses.plugin import retbench_defenses; retbench_defenses(); "
        "print('diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
