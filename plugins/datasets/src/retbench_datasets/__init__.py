"""Datasets that need no download: scanned digits and generated scenes."""
