"""Captioners: to build, to load, and what their networks are given.

`seqgen.tasks.captioning.task` trains one, `seqgen.tasks.captioning.caption` captions clips with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqgen import modeldir
from seqgen.config import CaptionerConfig, CaptionerModelConfig, ClipConfig, to_json
from seqgen.data.buckets import pad
from seqgen.data.captioned_corpus import Frames, stacked
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokens import TokenIds, vocab_size
from seqgen.errors import ModelError
from seqgen.nets.captioner import Captioner
from seqgen.seeds import derive
from seqgen.tasks.captioning.kind import KIND
from seqgen.tasks.features.model import FeatureModel
from seqgen.tasks.features.pretrained import open_features
from seqgen.tasks.opening import Opening

ARCHITECTURE = "captioner"


@dataclass(frozen=True)
class CaptionerModel:
    """A network, the tokens that it writes, and how it reads clips.

    Args:
        network (Captioner): on its device.
        tokenizer (SentencePieceTokenizer): of captions.
        frames (int): of a clip that are read, at most.
        image_size (int): height and width of a frame.
        features (FeatureModel | None): the frozen network that reads the frames, if there is one.
        directory (Path | None): where it was loaded from.
    """

    network: Captioner
    tokenizer: SentencePieceTokenizer
    frames: int
    image_size: int
    features: FeatureModel | None = None
    directory: Path | None = None

    @classmethod
    def new(
        cls,
        config: CaptionerConfig,
        clips: ClipConfig,
        tokenizer: SentencePieceTokenizer,
        features: FeatureModel | None,
        seed: int,
    ) -> CaptionerModel:
        """An untrained model, its weights a function of the seed."""
        torch.manual_seed(derive(seed, "weights"))
        size = features.network.feature_size if features else 0
        network = Captioner(config, vocab_size(tokenizer), clips.image_size, size)
        network.initialise()
        return cls(network, tokenizer, clips.frames, clips.image_size, features)

    @classmethod
    def load(cls, name: str, device: torch.device) -> CaptionerModel:
        """Load a model by path or name; everything is checked before it is used.

        Raises:
            ModelError: no such model, or it is damaged, or no captioner, or its feature network is not the one that it
                was trained with.
        """
        opening = Opening(name, KIND)
        size = opening.config.vocab_size
        config, network = opening.network(
            {ARCHITECTURE: CaptionerModelConfig},
            lambda config: Captioner(config.network, size, config.image_size, config.feature_size),
        )
        tokenizer = SentencePieceTokenizer(opening.read(SentencePieceTokenizer.file_name))
        if min(tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) < 0:
            raise ModelError(f"{opening.directory} has no symbols for padding, start and end of a caption")
        opening.check_size(SentencePieceTokenizer.file_name, tokenizer, size)
        features = None
        if config.network.frozen:
            features = open_features(config.network.frozen, None, device)
            if features.sha256 != config.features_sha256:
                raise ModelError(
                    f"{opening.directory} reads frames through another {config.network.frozen} than there is here",
                    hint="it needs the feature network that it was trained with",
                )
        opening.fill(network, device)
        return cls(network, tokenizer, config.frames, config.image_size, features, opening.directory)

    def files(self) -> dict[str, bytes]:
        """What turns a weights file into a model directory."""
        config = CaptionerModelConfig(
            network=self.network.config,
            frames=self.frames,
            image_size=self.image_size,
            feature_size=self.features.network.feature_size if self.features else 0,
            features_sha256=self.features.sha256 if self.features else "",
        )
        written = modeldir.ModelConfig(KIND.task, ARCHITECTURE, to_json(config), self.network.vocab_size)
        return {modeldir.CONFIG: written.to_bytes(), self.tokenizer.file_name: self.tokenizer.to_bytes()}

    # What the network is given ----------------------------------------------------------------------------

    def read(self, frames: NDArray[np.uint8]) -> Frames:
        """What the network takes of a clip `(frames, 3, height, width)`: itself, or its features."""
        return frames if self.features is None else self.features.features(frames)

    def clip_tensors(self, clips: Sequence[Frames]) -> tuple[Tensor, Tensor]:
        """Clips that were read, `(batch, frames, ...)`, and how many frames each has, `(batch,)`."""
        together, lengths = stacked(clips)
        return torch.from_numpy(together).to(self.network.device), torch.from_numpy(lengths)

    def caption_tensors(self, captions: Sequence[TokenIds]) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is given, what it should say, and where: `(batch, time)` each.

        A decoder is given the start symbol and the caption, and should say the caption and the end symbol; true where
        there is something to say.
        """
        tokenizer = self.tokenizer
        inputs, lengths = pad(captions, tokenizer.pad_id, first=tokenizer.bos_id)
        labels, _ = pad(captions, tokenizer.pad_id, last=tokenizer.eos_id)
        wanted = np.arange(labels.shape[1]) < lengths[:, None]
        given, said, where = (torch.from_numpy(array).to(self.network.device) for array in (inputs, labels, wanted))
        return given, said, where
