"""Published numbers: the tables of papers, read from YAML, and their comparison with measured numbers."""
