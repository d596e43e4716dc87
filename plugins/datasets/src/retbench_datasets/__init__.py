"""Datasets: digits and scenes, which need no download; FLICKR-25K, MS-COCO, NUS-WIDE; anybody's own pictures."""
