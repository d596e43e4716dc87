"""The hook that offers this distribution's datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retbench import hookimpl

if TYPE_CHECKING:
    from retbench import Dataset


@hookimpl
def retbench_datasets() -> list[type[Dataset]]:
    """Returns the dataset classes; imported here, so that discovery stays light."""
    from retbench_datasets.digits import Digits
    from retbench_datasets.flickr25k import Flickr25k
    from retbench_datasets.iapr_tc12 import IaprTc12
    from retbench_datasets.image_folder import ImageFolder
    from retbench_datasets.image_list import ImageList
    from retbench_datasets.mscoco import Mscoco
    from retbench_datasets.nuswide import Nuswide
    from retbench_datasets.scenes import Scenes
    from retbench_datasets.wikipedia import Wikipedia

    return [Digits, Scenes, Flickr25k, Mscoco, Nuswide, Wikipedia, IaprTc12, ImageList, ImageFolder]
