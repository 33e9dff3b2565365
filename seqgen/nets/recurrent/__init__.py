"""Networks that carry a state from token to token, and the window that carries none."""
