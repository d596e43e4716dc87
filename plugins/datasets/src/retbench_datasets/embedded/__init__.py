"""Datasets that need no download: scanned digits, and scenes generated from random numbers."""
