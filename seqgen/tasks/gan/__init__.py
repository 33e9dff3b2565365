"""Generators of images, with or without labels, and the discriminators that train them."""
