"""Purifiers by diffusion: add noise to a query up to one noise level, then remove it with a denoiser."""
