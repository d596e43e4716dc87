"""Hashers trained on labels, and the backbones under them."""
