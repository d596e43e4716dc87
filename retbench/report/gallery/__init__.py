"""The gallery: answers to single queries before an attack, under it and behind a defense, as data and pictures."""
