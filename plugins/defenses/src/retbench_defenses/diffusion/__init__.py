"""Purifiers by diffusion: a query is noised to one level and walked back down with a denoiser."""
