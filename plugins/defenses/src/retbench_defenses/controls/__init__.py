"""Controls and cheap input transformations: what a purifier must beat."""
