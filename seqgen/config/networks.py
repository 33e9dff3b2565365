"""The architectures of networks that read and write tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqgen.config.fields import MAX_LAYERS, MAX_SIZE, Config, within
from seqgen.errors import ConfigError

Architecture = Literal["recurrent", "transformer"]
RecurrentCell = Literal["rnn", "lstm", "gru", "peephole", "gru-before"]
Cell = Literal[RecurrentCell, "window"]
PeepholeKind = Literal["diagonal", "full"]
Connections = Literal["none", "residual", "dense"]
Attention = Literal["none", "dot", "general", "additive"]
Start = Literal["eos", "sos"]
Positions = Literal["sinusoidal", "learned", "rotary", "none"]
Norm = Literal["pre", "post"]
Activation = Literal["relu", "gelu", "swiglu", "none"]


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(Config):
    """A stack of recurrent layers between an embedding and an output layer; with the cell `window`, of layers that see
    the last `window` tokens instead.

    `peephole` says what a gate of the peephole cell sees: its own unit of the memory, or all of it. `connections` leads
    around each layer: what goes in is added to what comes out (`residual`, where sizes agree), or stands beside it
    (`dense`). `layer_norm` normalises what goes into each layer above the first, and into the output layer. `tied`
    shares one matrix between embedding and output layer. `init_scale` scales the recurrent matrices, which begin
    orthogonal.

    In training `embed_dropout` and `dropout` are the shares of an embedding's and of a layer's outputs that are
    dropped, the same units at every step of a chunk if `variational`; `weight_drop` is that of the recurrent weights.
    """

    cell: Cell = "lstm"
    embed_size: int = 64
    hidden_size: int = 384
    num_layers: int = 2
    peephole: PeepholeKind = "diagonal"
    window: int = 16
    connections: Connections = "none"
    layer_norm: bool = False
    tied: bool = False
    init_scale: float = 1.0
    embed_dropout: float = 0.0
    dropout: float = 0.2
    variational: bool = False
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        within(self, "embed_size", 1, MAX_SIZE)
        within(self, "hidden_size", 1, MAX_SIZE)
        within(self, "num_layers", 1, MAX_LAYERS)
        within(self, "window", 1, 4096)
        within(self, "init_scale", 0.0, 100.0)
        within(self, "embed_dropout", 0.0, 0.99)
        within(self, "dropout", 0.0, 0.99)
        within(self, "weight_drop", 0.0, 0.99)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: each cell has fields that others lack."""
        idle = {}
        if self.cell == "window":
            idle = dict.fromkeys(("weight_drop", "init_scale"), "with --cell window")
        else:
            idle["window"] = f"with --cell {self.cell}"
        if self.cell != "peephole":
            idle["peephole"] = f"with --cell {self.cell}"
        if self.num_layers == 1 and self.embed_size != self.hidden_size and self.connections == "residual":
            idle["connections"] = "with --layers 1, unless --embed-size and --hidden-size are equal"
        if not (self.dropout or self.embed_dropout):
            idle["variational"] = "with --dropout 0 and --embed-dropout 0"
        return idle


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig(Config):
    """A recurrent encoder-decoder.

    `hidden_size` is that of a decoder layer; the encoder's directions share it when there are two. `attention` says how
    the decoder looks back at the source, `attention_size` is the hidden size of the additive kind. `input_feeding`
    gives the decoder what it attended to at the step before. `tied` shares one matrix between the target's embedding
    and the output layer, and the source's embedding too when the vocabulary is joint. `start` is the symbol that the
    decoder is given first: one of its own, or the one that ends sequences.
    """

    cell: RecurrentCell = "lstm"
    embed_size: int = 256
    hidden_size: int = 512
    num_layers: int = 1
    peephole: PeepholeKind = "diagonal"
    dropout: float = 0.3
    bidirectional: bool = True
    attention: Attention = "general"
    attention_size: int = 256
    input_feeding: bool = True
    tied: bool = True
    joint: bool = True
    reverse_source: bool = False
    start: Start = "sos"

    def __post_init__(self) -> None:
        for name in ("embed_size", "hidden_size", "attention_size"):
            within(self, name, 1, MAX_SIZE)
        within(self, "num_layers", 1, MAX_LAYERS)
        within(self, "dropout", 0.0, 0.99)
        if self.bidirectional and self.hidden_size % 2:
            raise ConfigError(f"hidden-size is {self.hidden_size}, but two directions share it: it must be even")

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`."""
        idle = {}
        if self.cell != "peephole":
            idle["peephole"] = f"with --cell {self.cell}"
        if self.attention != "additive":
            idle["attention_size"] = f"with --attention {self.attention}"
        return idle


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(Config):
    """A stack of Transformer layers between an embedding and an output layer.

    `num_kv_heads` heads of keys and values serve `num_heads` heads of queries in groups of equal size (0: each has its
    own). `context` is how many tokens the network sees at once; a language model is trained on pieces of this length.
    `norm` says whether a layer normalises what goes into its parts or what comes out of its sums. `causal` hides what
    is to be predicted: without it the loss leaks. `tied` shares one matrix between embeddings and output layer.
    """

    embed_size: int = 128
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 0
    ffn_size: int = 512
    dropout: float = 0.0
    positions: Positions = "rotary"
    norm: Norm = "pre"
    activation: Activation = "gelu"
    causal: bool = True
    tied: bool = True
    context: int = 64

    def __post_init__(self) -> None:
        for name in ("embed_size", "ffn_size", "context"):
            within(self, name, 1, MAX_SIZE)
        within(self, "num_layers", 1, MAX_LAYERS)
        within(self, "num_heads", 1, self.embed_size)
        within(self, "num_kv_heads", 0, self.num_heads)
        within(self, "dropout", 0.0, 0.99)
        if self.embed_size % (2 * self.num_heads):
            raise ConfigError(
                f"embed-size is {self.embed_size}, but each of {self.num_heads} heads takes an equal and even share"
            )
        if self.num_heads % self.kv_heads:
            raise ConfigError(f"{self.num_heads} heads do not make {self.num_kv_heads} equal groups")

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_kv_heads or self.num_heads

    @property
    def head_size(self) -> int:
        """Values of a head."""
        return self.embed_size // self.num_heads


@dataclass(frozen=True, kw_only=True)
class TransformerSeq2SeqConfig(TransformerConfig):
    """A Transformer encoder-decoder: `num_layers` in the encoder, `decoder_layers` in the decoder (0: as many).

    `context` counts the learned positions of a sentence. `joint` says that both sides share a vocabulary; tied, they
    share the embedding too.
    """

    embed_size: int = 256
    num_layers: int = 3
    decoder_layers: int = 0
    dropout: float = 0.25
    context: int = 256
    positions: Positions = "sinusoidal"
    activation: Activation = "relu"
    joint: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, "decoder_layers", 0, MAX_LAYERS)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: only learned positions are counted."""
        return {} if self.positions == "learned" else {"context": f"with --positions {self.positions}"}
