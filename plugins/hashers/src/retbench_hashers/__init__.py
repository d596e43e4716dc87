"""Supervised hashers of images, cross-modal hashers, and their backbones."""
