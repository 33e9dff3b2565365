"""Captioning with a model: clips in, sentences out, in order, whatever the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from seqgen.config import CAPTION_SEARCH, SamplingConfig, SearchConfig
from seqgen.data.batching import in_batches
from seqgen.data.captioned_corpus import Frames, as_frames
from seqgen.data.clips import Clip, read_clip
from seqgen.errors import DataError
from seqgen.nets.stepping.seq2seq import Seq2SeqStep
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.tasks.targets import Found, Method, Targets

# Tokens of a caption, the end symbol included, if no limit is given.
MAX_LENGTH = 40
# Hypotheses that go through the network together, at most, whatever the beam.
MOST_ROWS = 4096
NOTHING = Found()


@dataclass(frozen=True)
class Caption:
    """What became of one file.

    Args:
        file (str): the file.
        clip (Clip | None): its frames, None if it cannot be read.
        found (Found): the captions, and how they were found.
        fault (DataError | None): why it cannot be read.
    """

    file: str
    clip: Clip | None = None
    found: Found = NOTHING
    fault: DataError | None = None

    @property
    def text(self) -> str:
        """The best caption; empty for a file that cannot be read."""
        return self.found.outputs[0].text if self.found.outputs else ""


@dataclass
class CaptionWriter:
    """Puts clips into words.

    Args:
        model (CaptionerModel): in evaluation mode while it writes.
        method (Method): how a caption is searched for; `exhaustive` starts from a beam.
        search (SearchConfig): which caption is wanted.
        sampling (SamplingConfig): how `sample` draws.
        seed (int): of `sample`; clip i draws the same numbers whatever is captioned beside it.
        prefix (str): what every caption begins with; white space at its end means that a word ends there.
        max_length (int): the most tokens of a caption, the end symbol included; 0: 40.
        batch_size (int): clips that go through the network together, at most; fewer when the beam is very wide.
        trees (bool): whether to keep what a beam search considered.
        attention (bool): whether to keep which frames each token attended to, if that can be told.
    """

    model: CaptionerModel
    method: Method = "beam"
    search: SearchConfig = CAPTION_SEARCH
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    seed: int = 0
    prefix: str = ""
    max_length: int = 0
    batch_size: int = 64
    trees: bool = False
    attention: bool = False

    def __post_init__(self) -> None:
        model = self.model
        self._targets = Targets(
            model.tokenizer,
            model.tokenizer.bos_id,
            model.network.device,
            method=self.method,
            search=self.search,
            sampling=self.sampling,
            seed=self.seed,
            prefix=self.prefix,
            trees=self.trees,
            attention=self.attention and model.network.attends,
        )
        self._most = max(1, min(self.batch_size, MOST_ROWS // self._targets.width))
        self._step = Seq2SeqStep(model.network)

    @torch.inference_mode()
    def write(self, clips: Sequence[Frames], numbers: Sequence[int]) -> list[Found]:
        """Captions of clips that were read, `numbers` being their places in their stream.

        Raises:
            NonFiniteError: the network overflows.
        """
        found: list[Found] = []
        for first in range(0, len(clips), self._most):
            part = slice(first, first + self._most)
            source, lengths = self.model.clip_tensors(clips[part])
            state = self._step.start(source, lengths)
            limits = [self.max_length or MAX_LENGTH] * len(source)
            attended = lengths.tolist() if self.model.network.attends else [1] * len(source)
            found += self._targets.find(self._step, state, numbers[part], limits, attended)
        return found

    def stream(self, files: Iterable[str]) -> Iterator[Caption]:
        """Caption any number of files, in order, holding no more than a batch of them.

        With a batch size of 1 a caption is there before the next name is read. A file that cannot be read has a fault
        and no caption.
        """
        number = 0
        for names in in_batches(files, self.batch_size):
            read = [self._read(name) for name in names]
            numbered = [(number + i, each.clip) for i, each in enumerate(read) if each.clip is not None]
            number += len(names)
            frames = [self.model.read(as_frames(clip)) for _, clip in numbered]
            found = iter(self.write(frames, [i for i, _ in numbered]) if frames else ())
            for each in read:
                yield each if each.clip is None else Caption(each.file, each.clip, next(found))

    def _read(self, name: str) -> Caption:
        try:
            return Caption(name, read_clip(name, self.model.frames, self.model.image_size))
        except DataError as error:
            return Caption(name, fault=error)
