"""What a prepared edition of a dataset is on disk, and how its lists, labels and texts are built from a download."""
