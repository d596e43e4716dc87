"""Hashers trained on labels, cross-modal hashers, and the backbones under them."""
