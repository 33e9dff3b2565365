"""Sequences from networks that you can train on a laptop and read in an afternoon.

Start with `seqgen.cli` for what a person types, `seqgen.train.loop` for how learning happens and
`seqgen.nets` for the networks. `seqgen.config` names every choice.
"""

__version__ = "0.1.0"
