"""Tables: rows laid out by a YAML layout, their seeds pooled and compared, with the provenance of the numbers."""
