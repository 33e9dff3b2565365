"""Translation models: the probability of a target sentence given its source."""
