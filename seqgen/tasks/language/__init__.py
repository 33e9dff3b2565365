"""Language models: the probability of the next token after those before it."""
