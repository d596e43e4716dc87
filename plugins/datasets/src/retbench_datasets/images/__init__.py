"""Image files: the index of a folder's images, and how they are decoded and unpacked."""
