"""Attacks by gradient descent on the pixels of each query, inside an l-infinity ball."""
