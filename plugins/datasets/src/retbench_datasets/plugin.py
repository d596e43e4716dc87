"""The hook that offers this distribution's datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Dataset


@hookimpl
def retbench_datasets() -> list[type[Dataset]]:
    """Return the dataset classes; the imports are inside, so that finding the plugin loads nothing heavy."""
    from retbench_datasets.embedded.digits import Digits
    from retbench_datasets.embedded.scenes import Scenes
    from retbench_datasets.published.flickr25k import Flickr25k
    from retbench_datasets.published.iapr_tc12 import IaprTc12
    from retbench_datasets.published.image_folder import ImageFolder
    from retbench_datasets.published.image_list import ImageList
    from retbench_datasets.published.mscoco import Mscoco
    from retbench_datasets.published.nuswide import Nuswide
    from retbench_datasets.published.wikipedia import Wikipedia

    return [Digits, Scenes, Flickr25k, Mscoco, Nuswide, Wikipedia, IaprTc12, ImageList, ImageFolder]
