"""Exhibits of single queries: their answers before an attack, under it and behind a defense, as data and pictures."""
