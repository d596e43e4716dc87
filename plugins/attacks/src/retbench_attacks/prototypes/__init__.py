"""Prototype networks: from a target's labels to the code that an attack approaches, trained for the attacked hasher."""
