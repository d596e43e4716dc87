"""Networks that predict the noise in an image (shipped, trained here or read from a file), and their noise schedule."""
