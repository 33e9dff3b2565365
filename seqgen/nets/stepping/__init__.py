"""How a trained network goes on token by token: what it keeps, and what a step costs."""
