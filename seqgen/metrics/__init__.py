"""How good something is: pure functions of outputs and references."""
