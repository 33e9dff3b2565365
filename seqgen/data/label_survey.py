"""A first reading of labelled texts: which classes there are, what is passed over, and what is held out.

What is decided here is a function of the texts and their labels alone, not of the order in which they came: the same
rows, shuffled, make the same two parts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqgen.config import MAX_CLASSES, LabelledTextConfig
from seqgen.data.labelled import Example
from seqgen.errors import DataError
from seqgen.wording import counted

Part = NDArray[np.uint8]
PASSED_OVER, TRAIN, VALID = 0, 1, 2
NAMED = 5
# So many texts, and more than so large a share of them with a label of their own: that is no label.
ENOUGH_TEXTS, OWN_LABELS = 20, 0.5


@dataclass(frozen=True)
class Survey:
    """What there is.

    Args:
        numbers (dict[str, int]): the classes of the training texts, by name, in alphabetical order.
        class_counts (NDArray[np.int64]): training labels of each.
        parts (Part): what becomes of each row of the training files, `(rows,)`.
        valid_parts (Part | None): the same of the validation files; None where some of the training files are held out.
        texts (int): training texts.
        words (int): their words, parted by white space.
    """

    numbers: dict[str, int]
    class_counts: NDArray[np.int64]
    parts: Part
    valid_parts: Part | None
    texts: int
    words: int

    def training(self, rows: Iterable[Example]) -> Iterator[Example]:
        """Those rows of the training files that are trained on."""
        return (row for row, part in zip(rows, self.parts, strict=True) if part == TRAIN)

    def validation(self, rows: Iterable[Example]) -> Iterator[Example]:
        """Those rows, of the validation files or else of the training files, that are held out."""
        parts = self.parts if self.valid_parts is None else self.valid_parts
        return (row for row, part in zip(rows, parts, strict=True) if part == VALID)


class _Rows:
    """What is kept of rows: digests of their texts, their labels and their numbers of words."""

    def __init__(self, rows: Iterable[Example], warn: Callable[[str], None], *, per_token: bool) -> None:
        texts, pairs, words, labels = [], [], [], []
        self.labels: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        first: dict[str, str] = {}
        for place, text, own in rows:
            texts.append(_digest(text))
            pairs.append(_digest("\0".join((text, *own))))
            words.append(text.count(" ") + 1)
            labels.append(own[0])
            why = "without a text" if not text else "without a label" if not all(own) else ""
            if why:
                passed[why] += 1
                first.setdefault(why, place)
                words[-1] = 0
        self.texts, self.pairs = (np.array(digests, np.uint64) for digests in (texts, pairs))
        self.words, self.first_labels = np.array(words, np.int64), labels
        self.parts = np.where(self.words > 0, TRAIN, PASSED_OVER).astype(np.uint8)
        for why, count in passed.items():
            warn(f"{counted(count, 'row')} {why} passed over, the first at {first[why]}")
        if not per_token:
            self._drop_repeats(warn)

    def _drop_repeats(self, warn: Callable[[str], None]) -> None:
        """Of rows with one text and one label, only the first is kept."""
        usable = np.flatnonzero(self.parts)
        repeats = np.ones(len(usable), np.bool_)
        repeats[np.unique(self.pairs[usable], return_index=True)[1]] = False
        self.parts[usable[repeats]] = PASSED_OVER
        if repeats.any():
            warn(f"{counted(int(repeats.sum()), 'exact repeat')} left out")
        contradicting = repeats.size - repeats.sum() - len(np.unique(self.texts[usable]))
        if contradicting:
            warn(f"{counted(int(contradicting), 'text')} stand again with another label: no model can tell these apart")

    def hold_out(self, fraction: float) -> None:
        """Hold out a share of the texts of each class, at most all but one; copies of a text stay together."""
        by_class: dict[str, dict[int, None]] = {}
        usable = np.flatnonzero(self.parts)
        for i in usable[np.argsort(self.pairs[usable], kind="stable")]:
            by_class.setdefault(self.first_labels[i], {}).setdefault(int(self.texts[i]))
        taken, chosen = set[int](), set[int]()
        for label in sorted(by_class):
            digests = sorted(digest for digest in by_class[label] if digest not in taken)
            taken.update(digests)
            chosen.update(digests[: min(round(fraction * len(digests)), max(0, len(digests) - 1))])
        held_out = np.fromiter((int(digest) in chosen for digest in self.texts), np.bool_, len(self.texts))
        self.parts[held_out & (self.parts == TRAIN)] = VALID


def survey(
    rows: Iterable[Example],
    valid_rows: Iterable[Example] | None,
    config: LabelledTextConfig,
    warn: Callable[[str], None],
) -> Survey:
    """Read all rows once.

    Args:
        rows (Iterable[Example]): of the training files.
        valid_rows (Iterable[Example] | None): of the validation files, None where a fraction is held out.
        config (LabelledTextConfig): whether words have labels, and the fraction.
        warn (Callable[[str], None]): told what is passed over, and what is odd.

    Raises:
        DataError: there is nothing to tell apart.
    """
    labels, valid_labels = Counter[str](), Counter[str]()
    train = _Rows(_counting(rows, labels), warn, per_token=config.per_token)
    _check_labels(labels, len(train.parts), config)
    valid = None
    if valid_rows is not None:
        valid = _Rows(_counting(valid_rows, valid_labels), warn, per_token=config.per_token)
        valid.parts[valid.parts == TRAIN] = VALID
        _compare(train, valid, labels, valid_labels, warn)
    elif config.valid_fraction:
        train.hold_out(config.valid_fraction)
    kept = train.parts == TRAIN
    if not (valid.parts if valid else train.parts == VALID).any() and config.valid_fraction != 0:
        warn("too few texts for a validation part: the run is judged by its training loss alone")
    numbers = {label: i for i, label in enumerate(sorted(label for label in labels if label))}
    counts = np.zeros(len(numbers), np.int64)
    for label, keep in zip(train.first_labels, kept, strict=True):
        if keep:
            counts[numbers[label]] += 1
    if config.per_token:
        counts = np.array([labels[label] for label in numbers], np.int64)
    return Survey(
        numbers, counts, train.parts, valid.parts if valid else None, int(kept.sum()), int(train.words[kept].sum())
    )


def _counting(rows: Iterable[Example], labels: Counter[str]) -> Iterator[Example]:
    for row in rows:
        labels.update(row.labels)
        yield row


def _check_labels(labels: Counter[str], rows: int, config: LabelledTextConfig) -> None:
    names = [label for label in labels if label]
    where = ", ".join(config.paths)
    if len(names) < 2:
        only = f"one class only, {names[0]!r}" if names else "no labelled text"
        raise DataError(f"{where}: {only}, so there is nothing to tell apart")
    if not config.per_token and rows >= ENOUGH_TEXTS and len(names) > OWN_LABELS * rows:
        raise DataError(
            f"{where}: {len(names):,} different labels for {rows:,} texts, such as {names[0][:40]!r}",
            hint="say which column has the labels with --label-column, and which the texts with --text-column",
        )
    if len(names) > MAX_CLASSES:
        raise DataError(f"{where}: {len(names):,} different labels, but at most {MAX_CLASSES:,} are possible")


def _compare(
    train: _Rows, valid: _Rows, labels: Counter[str], valid_labels: Counter[str], warn: Callable[[str], None]
) -> None:
    """Tell what of a validation part is in the training part, and what never is."""
    both = np.isin(valid.texts[valid.parts == VALID], train.texts[train.parts == TRAIN]).sum()
    if both:
        warn(f"{counted(int(both), 'text')} to validate on stand among those to train on as well")
    if unseen := [label for label in valid_labels if label and label not in labels]:
        names = ", ".join(map(repr, unseen[:NAMED])) + (" and others" if len(unseen) > NAMED else "")
        warn(f"labels to validate on that no text to train on has: {names}; they count as wrong")


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())
