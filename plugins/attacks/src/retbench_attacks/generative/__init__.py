"""Attacks with a trained generator that produces the adversarial image in one forward pass."""
