"""Where the next token is chosen. Nothing here knows which network gives the probabilities."""
