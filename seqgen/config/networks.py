"""The architectures of networks that read and write tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from seqgen.config.fields import DATA, MAX_LAYERS, MAX_SIZE, MODEL, Config, same_setting, setting
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


# How much of something is dropped.
MOST_DROPPED = 0.99


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig(Config):
    """A stack of recurrent layers between an embedding and an output layer; with the cell `window`, of layers that read
    the last `window` tokens instead.

    `peephole` says what a gate of the peephole cell reads: its own unit of the memory, or all of it. `connections`
    leads around each layer: what goes in is added to what comes out (`residual`, where sizes agree), or stands beside
    it (`dense`). `layer_norm` normalises what goes into each layer above the first, and into the output layer. The
    recurrent matrices begin orthogonal, times `init_scale`. With `variational` the same units are dropped at every step
    of a chunk.
    """

    architecture: ClassVar[Architecture] = "recurrent"
    leaks: ClassVar[bool] = False
    """Whether the network reads what it is to predict."""

    cell: Cell = setting("lstm", MODEL, "The recurrent cell, or window: the last tokens only.")
    peephole: PeepholeKind = setting("diagonal", MODEL, "What gates of --cell peephole see: own unit, or all.")
    window: int = setting(16, MODEL, "Tokens that --cell window sees.", low=1, high=4096)
    embed_size: int = setting(64, MODEL, "Size of a token's vector.", low=1, high=MAX_SIZE)
    hidden_size: int = setting(384, MODEL, "Size of the state of a layer.", low=1, high=MAX_SIZE)
    num_layers: int = setting(2, MODEL, "Recurrent layers.", "--layers", low=1, high=MAX_LAYERS)
    connections: Connections = setting("none", MODEL, "Paths around a layer: added to, or beside, it.")
    layer_norm: bool = setting(False, MODEL, "Normalise what layers read.")
    tied: bool = setting(False, MODEL, "One matrix for embedding and output.", "--tied/--untied")
    init_scale: float = setting(1.0, MODEL, "Size of the recurrent matrices at first.", low=0, high=100)
    embed_dropout: float = setting(0.0, MODEL, "Share of values dropped after the embedding.", low=0, high=MOST_DROPPED)
    dropout: float = setting(0.2, MODEL, "Share of values dropped after each layer.", low=0, high=MOST_DROPPED)
    variational: bool = setting(False, MODEL, "Drop the same units at all steps.")
    weight_drop: float = setting(
        0.0, MODEL, "Share of recurrent weights dropped in each chunk.", low=0, high=MOST_DROPPED
    )

    @property
    def short_name(self) -> str:
        """What a model is called by."""
        return self.cell

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
class EncoderDecoderConfig(Config):
    """What recurrent encoder-decoders say of their layers, whatever they read; it is never made by itself.

    `hidden_size` is that of a decoder layer; the encoder's directions share it when there are two. `tied` shares one
    matrix between the target's embedding and the output layer.
    """

    architecture: ClassVar[Architecture] = "recurrent"

    cell: RecurrentCell = setting("lstm", MODEL, "The recurrent cell.")
    peephole: PeepholeKind = setting("diagonal", MODEL, "What gates of --cell peephole see: own unit, or all.")
    embed_size: int = setting(256, MODEL, "Size of a token's vector.", low=1, high=MAX_SIZE)
    hidden_size: int = setting(512, MODEL, "Size of the state of a layer.", low=1, high=MAX_SIZE)
    num_layers: int = setting(1, MODEL, "Recurrent layers on each side.", "--layers", low=1, high=MAX_LAYERS)
    dropout: float = setting(0.3, MODEL, "Share of values dropped.", low=0, high=MOST_DROPPED)
    bidirectional: bool = setting(True, MODEL, "Read in both directions.", "--bidirectional/--unidirectional")
    attention: Attention = setting("general", MODEL, "How the decoder looks back at what was read.")
    attention_size: int = setting(256, MODEL, "Hidden size of additive attention.", low=1, high=MAX_SIZE)
    input_feeding: bool = setting(True, MODEL, "Give the decoder what it attended to last.")
    tied: bool = setting(True, MODEL, "Embeddings serve as output layer too.", "--tied/--untied")

    def __post_init__(self) -> None:
        assert type(self) is not EncoderDecoderConfig, "a base"
        super().__post_init__()
        if self.bidirectional and self.hidden_size % 2:
            raise ConfigError(f"hidden-size is {self.hidden_size}, but two directions share it: it must be even")

    @property
    def attention_kind(self) -> Attention:
        """How the decoder attends to what was read."""
        return self.attention

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
class Seq2SeqConfig(EncoderDecoderConfig):
    """A recurrent encoder-decoder for sentences.

    `tied` shares the source's embedding too when the vocabulary is joint. `start` is the symbol that the decoder is
    given first: one of its own, or the one that ends sequences.
    """

    leaks: ClassVar[bool] = False
    """Whether the network reads what it is to predict."""
    short_name: ClassVar[str] = "seq2seq"

    joint: bool = setting(True, DATA, "One vocabulary, or one for each side.", "--joint/--separate")
    reverse_source: bool = setting(False, MODEL, "Read the source backwards.")
    start: Start = setting("sos", MODEL, "What the decoder is given first.")


@dataclass(frozen=True, kw_only=True)
class TransformerLayersConfig(Config):
    """What both Transformers say of their layers; it is never made by itself.

    `num_kv_heads` heads of keys and values serve `num_heads` heads of queries in groups of equal size (0: each has its
    own). `norm` says whether a layer normalises what goes into its parts or what comes out of its sums. `causal` hides
    what is to be predicted: without it the loss leaks.
    """

    architecture: ClassVar[Architecture] = "transformer"
    short_name: ClassVar[str] = "transformer"

    num_layers: int = setting(4, MODEL, "Layers; of pairs, on each side.", "--layers", low=1, high=MAX_LAYERS)
    num_heads: int = setting(4, MODEL, "Attention heads.", "--heads")
    num_kv_heads: int = setting(0, MODEL, "Heads of keys and values, shared by groups; 0: as many.", "--kv-heads")
    embed_size: int = setting(128, MODEL, "Size of a token's vector in all layers.", low=1, high=MAX_SIZE)
    ffn_size: int = setting(512, MODEL, "Inner size of the feed-forward part.", low=1, high=MAX_SIZE)
    dropout: float = setting(0.0, MODEL, "Share of values dropped.", low=0, high=MOST_DROPPED)
    positions: Positions = setting("rotary", MODEL, "How places are told apart.")
    norm: Norm = setting("pre", MODEL, "Normalise before each part of a layer, or after.")
    activation: Activation = setting("gelu", MODEL, "Nonlinearity of the feed-forward part.")
    causal: bool = setting(True, MODEL, "Hide what is to be predicted; without it the loss leaks.")
    tied: bool = setting(True, MODEL, "Embeddings serve as output layer too.", "--tied/--untied")
    context: int = setting(64, MODEL, "Tokens that are seen at once.", low=1, high=MAX_SIZE)

    def __post_init__(self) -> None:
        assert type(self) is not TransformerLayersConfig, "a base"
        super().__post_init__()
        self.within("num_heads", 1, self.embed_size)
        self.within("num_kv_heads", 0, self.num_heads)
        if self.embed_size % (2 * self.num_heads):
            raise ConfigError(
                f"embed-size is {self.embed_size}, but each of {self.num_heads} heads takes an equal and even share"
            )
        if self.num_heads % self.kv_heads:
            raise ConfigError(f"{self.num_heads} heads do not make {self.num_kv_heads} equal groups")

    @property
    def leaks(self) -> bool:
        """Whether the network reads what it is to predict."""
        return not self.causal

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_kv_heads or self.num_heads

    @property
    def head_size(self) -> int:
        """Values of a head."""
        return self.embed_size // self.num_heads


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(TransformerLayersConfig):
    """A Transformer language model, which reads at most `context` tokens and is trained on pieces of this length."""


@dataclass(frozen=True, kw_only=True)
class TransformerSeq2SeqConfig(TransformerLayersConfig):
    """A Transformer encoder-decoder: `num_layers` in the encoder, `decoder_layers` in the decoder.

    `context` counts the learned positions of a sentence. `joint` says that both sides share a vocabulary; tied, they
    share the embedding too.
    """

    joint: bool = setting(True, DATA, "One vocabulary, or one for each side.", "--joint/--separate")
    decoder_layers: int = setting(0, MODEL, "Layers of the decoder; 0: as many.", low=0, high=MAX_LAYERS)
    num_layers: int = same_setting(TransformerLayersConfig, "num_layers", 3)
    embed_size: int = same_setting(TransformerLayersConfig, "embed_size", 256)
    dropout: float = same_setting(TransformerLayersConfig, "dropout", 0.25)
    positions: Positions = same_setting(TransformerLayersConfig, "positions", "sinusoidal")
    activation: Activation = same_setting(TransformerLayersConfig, "activation", "relu")
    context: int = same_setting(TransformerLayersConfig, "context", 256)

    @property
    def idle(self) -> Mapping[str, str]:
        """See `Config`: only learned positions are counted."""
        return {} if self.positions == "learned" else {"context": f"with --positions {self.positions}"}
