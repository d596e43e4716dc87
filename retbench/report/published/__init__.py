"""Published numbers: the tables of papers, read from YAML, and whether a measured number agrees with them."""
