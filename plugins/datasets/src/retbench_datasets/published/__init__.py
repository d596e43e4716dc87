"""A file per dataset that is read from disk: those of the literature, and the user's own images."""
