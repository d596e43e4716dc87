"""Readers of published file formats: arrays, annotations, lists, label matrices, manifests."""
