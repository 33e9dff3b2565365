"""One table of all kinds of models: a tiny run of each, and what the finished model makes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from drawn_clips import drawn_clips
from tiny_runs import Run, write_text

from seqgen.cli.commands import train_captioner, train_classifier, train_forecaster, train_seq2seq
from seqgen.cli.commands.gan_train import COMMANDS as GAN
from seqgen.cli.commands.train_transformer import COMMANDS as TRANSFORMER
from seqgen.cli.training import Command
from seqgen.config import (
    AdversarialConfig,
    CaptionerConfig,
    CaptionerSettings,
    ClassifierConfig,
    ClassifierSettings,
    ClipConfig,
    CycleGameConfig,
    CycleGanConfig,
    DomainsConfig,
    ForecasterConfig,
    ForecasterSettings,
    GanConfig,
    GanSettings,
    ImageConfig,
    LabelledTextConfig,
    LapGanConfig,
    LapGanGameConfig,
    LapGanSettings,
    PairConfig,
    PairedGameConfig,
    PairedSettings,
    ParallelConfig,
    Pix2PixConfig,
    Seq2SeqConfig,
    SeriesConfig,
    Settings,
    TextConfig,
    TrainConfig,
    TransformerConfig,
    TransformerPairsSettings,
    TransformerSeq2SeqConfig,
    TransformerTextSettings,
    TranslationSettings,
    UnpairedSettings,
)
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.model import ClassifierModel
from seqgen.tasks.forecasting.forecast import forecast
from seqgen.tasks.forecasting.model import ForecasterModel
from seqgen.tasks.gan.imagine import Imagination
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.translate import ImageTranslator
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.translate import Translator

STEPS = 20
WORDS = "ein hund rennt durch den schnee und zwei katzen sehen ihm dabei zu".split()
CPU = torch.device("cpu")
HEADS: dict[str, Any] = {"embed_size": 8, "num_heads": 2, "ffn_size": 12, "num_layers": 1, "dropout": 0.3}


def train(**chosen: Any) -> TrainConfig:
    """Twenty steps, a save every five and an evaluation every eight."""
    usual = {
        "steps": STEPS,
        "batch_size": 16,
        "grad_accumulation": 2,
        "warmup_steps": 3,
        "eval_every": 8,
        "save_every": 5,
        "log_every": 1,
        "ema": 0.9,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
    }
    return TrainConfig(**{**usual, **chosen})


def write_data(root: Path) -> None:
    """Data for each kind."""
    draw = random.Random(0)
    write_text(root)
    sentences = [draw.choices(WORDS, k=draw.randint(1, 6)) for _ in range(200)]
    (root / "pairs.tsv").write_text("".join(f"{' '.join(s)}\t{' '.join(s[::-1]).upper()}\n" for s in sentences))
    (root / "labels.tsv").write_text("".join(f"{' '.join(s)}\t{len(s[0]) % 3}\n" for s in sentences))
    (root / "tags.tsv").write_text("\n".join("".join(f"{w}\t{len(w) % 3}\n" for w in s) for s in sentences))
    rows = (f"{1900 + i // 12}-{i % 12 + 1:02d},{math.sin(i / 3) + draw.random():.3f}\n" for i in range(200))
    (root / "series.csv").write_text("date,x\n" + "".join(rows))
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (64, 8, 8)).astype(np.uint8)
    np.savez(root / "images.npz", images=pixels, labels=np.arange(64) % 3)
    drawn_clips(root / "clips")


def text(root: Path) -> Settings:
    return TransformerTextSettings(
        text=TextConfig(paths=(str(root / "text.txt"),), valid="0.35"),
        network=TransformerConfig(**HEADS, positions="learned", num_kv_heads=1, context=16),
        train=train(batch_size=8, precision="bf16"),
    )


def written(directory: Path) -> Any:
    network = LanguageModel.load(str(directory), CPU).network
    return network(torch.zeros(1, 5, dtype=torch.long), network.initial_state(1))[0].tolist()


def pairs(root: Path) -> Settings:
    return TransformerPairsSettings(
        text=ParallelConfig(paths=(str(root / "pairs.tsv"),), vocab_size=284),
        network=TransformerSeq2SeqConfig(**HEADS, norm="post", joint=False),
        train=train(),
    )


def seq2seq(root: Path, cell: Any, ema: float, precision: str, *, joint: bool, **chosen: Any) -> Settings:
    return TranslationSettings(
        text=ParallelConfig(paths=(str(root / "pairs.tsv"),), vocab_size=300 if joint else 284, **chosen),
        network=Seq2SeqConfig(cell=cell, embed_size=4, hidden_size=8, dropout=0.3, joint=joint),
        train=train(ema=ema, precision=precision),
    )


def translated(directory: Path) -> Any:
    model = TranslationModel.load(str(directory), CPU)
    return [t.text for t in Translator([model], "beam", max_length=8).stream(WORDS)]


def classifier(root: Path, cell: Any, data: str, *, train_config: TrainConfig, **chosen: Any) -> Settings:
    return ClassifierSettings(
        text=LabelledTextConfig(paths=(str(root / data),), **chosen),
        network=ClassifierConfig(cell=cell, embed_size=4, char_size=4, hidden_size=8, num_heads=2),
        train=train_config,
    )


def labels(directory: Path) -> Any:
    model = ClassifierModel.load(str(directory), CPU)
    return [answer.labels for answer in Labeller(model, top=3).label(WORDS)]


def forecaster(root: Path, response: Any, ema: float) -> Settings:
    return ForecasterSettings(
        series=SeriesConfig(paths=(str(root / "series.csv"),), valid=0.2, test=0.2),
        network=ForecasterConfig(response=response, horizon=4, hidden_size=6, order=5, num_layers=2),
        train=train(batch_size=8, ema=ema),
    )


def forecasts(directory: Path) -> Any:
    model = ForecasterModel.load(str(directory), CPU)
    return forecast(model, model.history[0], model.fitted[0], 6).quantiles.tolist()


def gan(root: Path, ema: float, network: dict[str, Any], game: dict[str, Any]) -> Settings:
    return GanSettings(
        images=ImageConfig(paths=(str(root / "images.npz"),)),
        network=GanConfig(latent_size=4, generator_size=4, discriminator_size=4, **network),
        game=AdversarialConfig(features="pixels", **game),
        train=train(batch_size=8, grad_accumulation=1, lr=1e-3, beta1=0.5, warmup_steps=0, ema=ema),
    )


def levels(root: Path, ema: float) -> Settings:
    return LapGanSettings(
        images=ImageConfig(paths=(str(root / "images.npz"),)),
        network=LapGanConfig(levels=2, latent_size=4, generator_size=4, discriminator_size=4),
        game=LapGanGameConfig(features="pixels"),
        train=train(batch_size=8, grad_accumulation=1, lr=1e-3, beta1=0.5, warmup_steps=0, ema=ema),
    )


def images(directory: Path) -> Any:
    maker = Imagination(GanModel.load(str(directory), CPU), seed=1)
    return np.concatenate(list(maker.images(range(5)))).tolist()


def translator(root: Path, ema: float, pairs: dict[str, Any], **network: Any) -> Settings:
    sizes: dict[str, Any] = {"generator_size": 4, "discriminator_size": 4, "halvings": 2, "patch": "16"}
    return PairedSettings(
        images=ImageConfig(paths=(str(root / "images.npz"),)),
        pairs=PairConfig(**pairs),
        network=Pix2PixConfig(**sizes | network),
        game=PairedGameConfig(l1=10.0),
        train=train(batch_size=8, grad_accumulation=1, lr=1e-3, beta1=0.5, warmup_steps=0, ema=ema),
    )


def two_ways(root: Path, ema: float, **game: Any) -> Settings:
    return UnpairedSettings(
        images=ImageConfig(paths=(str(root / "images.npz"), str(root / "images.npz"))),
        domains=DomainsConfig(flip=True),
        network=CycleGanConfig(generator_size=4, discriminator_size=4, blocks=1, patch="16"),
        game=CycleGameConfig(**game),
        train=train(batch_size=8, grad_accumulation=1, lr=1e-3, beta1=0.5, warmup_steps=0, ema=ema),
    )


def translated_images(directory: Path) -> Any:
    model = TranslatorModel.load(str(directory), CPU)
    made = []
    for way in model.ways.values():
        source = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (way.source_channels, 9, 8))
        made.append(ImageTranslator(way, seed=1).translate(source.astype(np.uint8)).tolist())
    return made


def captioner(root: Path, **chosen: Any) -> Settings:
    sizes = {"embed_size": 8, "hidden_size": 8, "attention_size": 4, "cnn_size": 8}
    return CaptionerSettings(
        clips=ClipConfig(paths=(str(root / "clips/captions.json"),), frames=3, image_size=16, vocab_size=300),
        network=CaptionerConfig(**{**sizes, **chosen}),
        train=train(batch_size=4),
    )


def captions(directory: Path) -> Any:
    writer = CaptionWriter(CaptionerModel.load(str(directory), CPU), max_length=6)
    clip = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (3, 3, 16, 16)).astype(np.uint8)
    return [(output.text, output.hypothesis.score) for output in writer.write([clip], [0])[0].outputs]


class Kind(NamedTuple):
    """A kind of run: its command, its settings for the folder of data, and what a finished model makes."""

    command: Command[Any]
    settings: Callable[[Path], Settings]
    made: Callable[[Path], Any]


KINDS = {
    "text": Kind(TRANSFORMER["text"], text, written),
    "pairs": Kind(TRANSFORMER["pairs"], pairs, translated),
    "seq2seq": Kind(train_seq2seq.COMMAND, lambda root: seq2seq(root, "gru", 0.9, "fp32", joint=True), translated),
    "seq2seq-random": Kind(
        train_seq2seq.COMMAND,
        lambda root: seq2seq(root, "lstm", 0.0, "bf16", joint=False, order="random", loss_steps="random", keep="loss"),
        translated,
    ),
    "classifier": Kind(
        train_classifier.COMMAND,
        lambda root: classifier(root, "gru", "labels.tsv", tokens="char", balance="sqrt", train_config=train()),
        labels,
    ),
    "tagger": Kind(
        train_classifier.COMMAND,
        lambda root: classifier(root, "peephole", "tags.tsv", per_token=True, train_config=train()),
        labels,
    ),
    "classifier-heads": Kind(
        train_classifier.COMMAND,
        lambda root: classifier(
            root,
            "transformer",
            "labels.tsv",
            tokens="word",
            keep="macro-f1",
            train_config=train(ema=0.0, precision="bf16"),
        ),
        labels,
    ),
    "finite": Kind(train_forecaster.COMMAND, lambda root: forecaster(root, "finite", 0.9), forecasts),
    "infinite": Kind(train_forecaster.COMMAND, lambda root: forecaster(root, "infinite", 0.0), forecasts),
    "cgan": Kind(GAN["images"], lambda root: gan(root, 0.9, {"arch": "cgan"}, {"augment": "all"}), images),
    "spectral": Kind(
        GAN["images"],
        lambda root: gan(root, 0.0, {"body": "spectral"}, {"loss": "hinge", "discriminator_steps": 2}),
        images,
    ),
    "residual": Kind(
        GAN["images"],
        lambda root: gan(root, 0.9, {"body": "residual"}, {"loss": "relativistic", "r1": 1.0, "r2": 1.0}),
        images,
    ),
    "lapgan": Kind(GAN["levels"], lambda root: levels(root, 0.9), images),
    "pix2pix": Kind(
        GAN["pairs"], lambda root: translator(root, 0.9, {"condition": "sketch", "flip": True}), translated_images
    ),
    "pix2pix-plain": Kind(
        GAN["pairs"],
        lambda root: translator(root, 0.0, {"condition": "lowres"}, patch="whole", norm="instance", skips=False),
        translated_images,
    ),
    "cyclegan": Kind(GAN["domains"], lambda root: two_ways(root, 0.9, history=10), translated_images),
    "cyclegan-plain": Kind(
        GAN["domains"], lambda root: two_ways(root, 0.0, history=0, identity=0.5), translated_images
    ),
    "captioner": Kind(train_captioner.COMMAND, captioner, captions),
    "captioner-mean": Kind(
        train_captioner.COMMAND, lambda root: captioner(root, encoder="mean", cell="lstm"), captions
    ),
}


def run_of(name: str, root: Path, directory: Path) -> Run:
    return Run(KINDS[name].settings(root), directory, command=KINDS[name].command)
