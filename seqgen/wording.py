"""Numbers in messages, as a person would say them."""


def counted(count: int, noun: str) -> str:
    """A number and what it counts, whose plural ends in s: `1 thread`, `2,000 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
