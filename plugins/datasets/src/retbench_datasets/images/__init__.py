"""Image files: which ones a dataset lists and whether they are there, and how they are decoded and unpacked."""
