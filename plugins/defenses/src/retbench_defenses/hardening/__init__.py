"""Defenses that train the hasher itself further."""
