import subprocess
import sys

from retbench_datasets.plugin import retbench_datasets


def test_the_hook_offers_the_datasets() -> None:
    published = ["flickr25k", "mscoco", "nuswide", "wikipedia", "iapr-tc12"]
    names = ["digits", "scenes", *published, "image-list", "image-folder"]
    assert [dataset.name for dataset in retbench_datasets()] == names


def test_finding_the_plugin_loads_neither_torch_nor_numpy_nor_pillow() -> None:
    code = "import sys, retbench_datasets.plugin; print(*{'torch', 'numpy', 'sklearn', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_the_datasets_load_without_scikit_learn() -> None:
    code = (
        "import sys; from retbench_datasets.plugin import retbench_datasets; "
        "[made.facts() for dataset in retbench_datasets() if (made := dataset()).missing() is None]; "
        "print('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
