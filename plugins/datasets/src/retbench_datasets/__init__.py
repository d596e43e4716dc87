"""Datasets: digits and scenes, which need no download; published datasets with and without texts; your own images."""
