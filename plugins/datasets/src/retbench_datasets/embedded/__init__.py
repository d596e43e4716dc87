"""Datasets that need no download: scanned digits, and scenes that are drawn from random numbers."""
