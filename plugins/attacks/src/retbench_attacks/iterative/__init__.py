"""Attacks by descent: many gradient steps on the pixels of each query, inside a ball."""
