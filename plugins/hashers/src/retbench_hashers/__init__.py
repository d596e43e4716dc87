"""Hashers trained on pairs of images, and the backbone under them."""
