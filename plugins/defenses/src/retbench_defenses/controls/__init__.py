"""Controls and cheap input transformations, which a purifier must beat."""
