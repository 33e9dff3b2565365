"""Everything that can go wrong on purpose.

    SeqgenError                 exit 1   what happened, where, and a hint: what to do
    ├── UsageError              exit 2   options that do not exist together, a folder in the way
    │   └── ConfigError         exit 2   a setting outside its range, in an option or in a file
    ├── DataError               exit 2   text that cannot be read as text, or is too short
    ├── ModelError              exit 2   a model directory that is missing, damaged or foreign
    ├── TrainingError           exit 1   a run that cannot go on
    │   ├── NonFiniteError      exit 1   a loss, gradient or probability that is not a number
    │   └── CollapsedError      exit 1   a GAN that went wrong, and was asked not to go on
    ├── OutputError             exit 1   a result that cannot be written
    └── Interrupted             exit 130 (Ctrl-C), 143 (TERM) or 129 (HUP): the state is saved

A message is one sentence that names the file, line or field; the hint is one command or one choice.
`seqgen.cli.exits.run` is the one place that prints them.
"""

from __future__ import annotations


class SeqgenError(Exception):
    """Base of all errors that seqgen raises for its user.

    Args:
        message (str): what happened and where, in one sentence.
        hint (str): what to do about it; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SeqgenError):
    """Options or arguments that cannot be followed."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting with the wrong type or outside its range."""


class DataError(SeqgenError):
    """Input that cannot be used: not text, empty, too short."""

    exit_code = 2


class ModelError(SeqgenError):
    """A model directory that is missing, damaged, or of another kind than asked for."""

    exit_code = 2


class TrainingError(SeqgenError):
    """A training run that cannot go on."""


class NonFiniteError(TrainingError):
    """A loss, a gradient or a probability is infinite or not-a-number; in training, the weights were not touched."""


class CollapsedError(TrainingError):
    """A GAN that went wrong.

    Args:
        message (str): what was found.
        hint (str): what to try.
        roll_back (bool): whether to go on from the best state instead of stopping.
    """

    def __init__(self, message: str, *, hint: str, roll_back: bool) -> None:
        super().__init__(message, hint=hint)
        self.roll_back = roll_back


class OutputError(SeqgenError):
    """A result that could not be written."""


class Interrupted(SeqgenError):
    """A signal asked the run to stop, and its state is saved.

    Args:
        message (str): what was saved and where.
        hint (str): the command that goes on.
        exit_code (int): 130 after INT, 143 after TERM, 129 after HUP.
    """

    def __init__(self, message: str, *, hint: str, exit_code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
