"""Tables: rows arranged by a YAML layout, seeds pooled, defenses compared, and the provenance of the numbers."""
