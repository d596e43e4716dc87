import subprocess
import sys

from retbench_datasets.plugin import retbench_datasets


def test_the_hook_offers_both_datasets() -> None:
    assert [dataset.name for dataset in retbench_datasets()] == ["digits", "scenes"]


def test_finding_the_plugin_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, retbench_datasets.plugin; print(*{'torch', 'numpy', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_the_datasets_load_without_scikit_learn() -> None:
    code = (
        "import sys; from retbench_datasets.plugin import retbench_datasets; "
        "[dataset().facts() for dataset in retbench_datasets()]; print('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
