"""Networks under a hash layer, and their initial weights."""
