"""Published numbers: what papers printed, read from YAML, and whether a measured number agrees with it."""
