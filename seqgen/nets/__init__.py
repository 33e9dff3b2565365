"""Where the networks are. Nothing here knows of data, decoding or training."""
