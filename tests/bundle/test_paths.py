"""No path of a machine leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.bundle.paths import cut_paths


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("/data/sets/flickr", "…/flickr"),
        ("no such file: got /data/sets/a.txt, expected it", "no such file: got …/a.txt, expected it"),
        ("(/a/b/c) and '/d/e'", "(…/c) and '…/e'"),
        ("store /mnt/x/.retbench: gone", "store …/.retbench: gone"),
        ("/one", "/one"),
        ("eps 8/255, 16/255", "eps 8/255, 16/255"),
        ("https://host.example/a/b/c", "https://host.example/a/b/c"),
        ("retbench/suites/a.yaml", "retbench/suites/a.yaml"),
        ("digits/dpsh/32/i2i", "digits/dpsh/32/i2i"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_name(text: str, cut: str) -> None:
    assert cut_paths(text) == cut


def test_texts_are_cut_wherever_they_stand() -> None:
    value = {"/a/b": ["/c/d", {"x": "/e/f"}], "n": 1, "none": None, "yes": True}
    assert cut_paths(value) == {"…/b": ["…/d", {"x": "…/f"}], "n": 1, "none": None, "yes": True}


def test_known_folders_are_cut_though_their_names_have_spaces() -> None:
    assert cut_paths("in /srv/my data/run 1/a.txt", Path("/srv/my data/run 1")) == "in …/a.txt"
    assert cut_paths(f"{Path.home()}/x y") == "…/x y"


def test_a_root_of_everything_cuts_nothing() -> None:
    assert cut_paths("8/255", Path("/")) == "8/255"
