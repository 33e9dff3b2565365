"""What a search did, made visible: on the terminal, as SVG, as PNG."""
