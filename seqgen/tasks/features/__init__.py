"""Networks whose inner layer serves to compare images, and the comparison of sets of images by them."""
