"""Networks under a hash layer, and the weights that their training starts from."""
