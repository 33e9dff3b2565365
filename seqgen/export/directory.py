"""Where an exported model goes: a new directory, which is there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from seqgen.errors import OutputError, UsageError
from seqgen.tasks.translation.model import TranslationModel


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory to fill; it gets its name when that has gone well.

    Raises:
        UsageError: something is there already.
        OutputError: it cannot be written.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is there already", hint="choose another DIR")
    temporary = target.with_name(f".tmp-{target.name}-{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require(*packages: str, extra: str) -> None:
    """See that the packages of an extra are installed.

    Raises:
        UsageError: one is not.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise UsageError(
                f"--to {extra} needs the package {package}", hint=f"pip install 'seqgen[{extra}]'"
            ) from None


def write_tokenizers(model: TranslationModel, directory: Path) -> None:
    """`source.model` and `target.model`, as sentencepiece's own tools read them; they may be the same."""
    (directory / "source.model").write_bytes(model.source_tokenizer.to_bytes())
    (directory / "target.model").write_bytes(model.target_tokenizer.to_bytes())
