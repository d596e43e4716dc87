"""Controls and cheap input transformations, which purifiers by diffusion should outperform."""
