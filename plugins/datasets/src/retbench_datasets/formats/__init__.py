"""Readers of the files in which the world publishes datasets: arrays, annotations, lists, label matrices, manifests."""
