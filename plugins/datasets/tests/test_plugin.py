import subprocess
import sys

from retbench_datasets.plugin import retbench_datasets


def test_the_hook_offers_the_datasets() -> None:
    published = ["flickr25k", "mscoco", "nuswide", "wikipedia", "iapr-tc12"]
    names = ["digits", "scenes", *published, "image-list", "image-folder"]
    assert [dataset.name for dataset in retbench_datasets()] == names


def test_finding_the_plugin_loads_nothing_heavy_and_datasets_do_not_import_scikit_learn() -> None:
    code = (
        "import sys\n"
        "from retbench_datasets.plugin import retbench_datasets\n"
        "print(*{'torch', 'numpy', 'sklearn', 'PIL'} & set(sys.modules))\n"
        "[made.facts() for dataset in retbench_datasets() if (made := dataset()).missing() is None]\n"
        "from retbench_datasets.embedded.digits import Digits\n"
        "Digits().fingerprint(), Digits().labels('query')\n"
        "print('sklearn' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "\nFalse\n"
