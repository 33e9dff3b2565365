"""No option of a training command is ignored: each changes what a run does, or is refused, for each kind of network.

The options are taken from the parser, so that a new one without an entry here fails. For each kind of network the
option is typed; the settings must change, and a run of a few steps with them must leave something else behind. Where
the option is refused because nothing reads it, a run with the field changed must leave the very same behind.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import COMMANDS, asked, parameters, settled
from drawn_clips import drawn_clips
from running import digit_pairs

from seqgen.cli import training
from seqgen.cli.terminal import Terminal
from seqgen.cli.training import Command
from seqgen.config import Option, Settings, to_json
from seqgen.errors import CollapsedError, UsageError
from seqgen.gan.health import Diagnosis
from seqgen.tasks.gan import watch as gan_watch
from seqgen.tasks.image_translation import unpaired_watch
from seqgen.tasks.image_translation import watch as translation_watch
from seqgen.tasks.language import task as language_model_task
from seqgen.train import machine
from seqgen.train.checkpoint import CheckpointStore

LOOP = "--steps 5 --eval-every 2 --save-every 3 --log-every 1 --warmup 1 --lr 0.01 --threads 1 --precision fp32"
LM = f"train-lm text.txt --embed-size 4 --hidden-size 6 --batch-size 4 --bptt 10 {LOOP}"
PAIRS = f"train-seq2seq pairs.tsv --embed-size 4 --hidden-size 6 --batch-size 8 --vocab-size 286 {LOOP}"
TRANSFORMER = f"--embed-size 8 --heads 2 --layers 1 --ffn-size 8 --dropout 0.1 --batch-size 4 {LOOP}"
LABELS = f"train-classifier labels.tsv --embed-size 4 --hidden-size 8 --batch-size 8 {LOOP}"
SERIES = f"train-forecaster series.csv --column x --horizon 3 --order 5 --hidden-size 4 --batch-size 8 {LOOP}"
CLIPS = (
    "train-captioner clips --embed-size 4 --hidden-size 8 --batch-size 8 --image-size 16 --frames 3"
    f" --vocab-size 300 {LOOP}"
)
FEATURES = "--base-size 2 --feature-size 4 --hidden-size 4 --batch-size 8"
GAN = f"gan-train a-images-idx3-ubyte --features pixels --nz 4 --ngf 4 --ndf 4 --batch-size 8 {LOOP}"
PIX2PIX = (
    "gan-train a-images-idx3-ubyte --arch pix2pix --ngf 4 --ndf 4 --halvings 2 --patch 16 --batch-size 8"
    f" --valid 0.2 {LOOP}"
)
CYCLEGAN = (
    "gan-train a-images-idx3-ubyte b-images-idx3-ubyte --arch cyclegan --ngf 4 --ndf 4 --blocks 1 --patch 16"
    f" --batch-size 8 --valid 0.2 {LOOP}"
)
# One kind of network each; the first of a command stands for it where an option concerns no network.
KINDS = {
    "lstm": LM,
    **{cell: f"{LM} --cell {cell}" for cell in ("rnn", "gru", "gru-before", "peephole", "window")},
    "general": PAIRS,
    **{kind: f"{PAIRS} --attention {kind}" for kind in ("none", "dot", "additive")},
    "seq2seq peephole": f"{PAIRS} --cell peephole",
    "transformer": f"train-transformer text.txt --context 10 {TRANSFORMER}",
    "transformer pairs": f"train-transformer pairs.tsv --vocab-size 286 {TRANSFORMER}",
    "transformer pairs, learned": f"train-transformer pairs.tsv --vocab-size 286 --positions learned {TRANSFORMER}",
    "classifier": LABELS,
    **{f"classifier, {cell}": f"{LABELS} --cell {cell}" for cell in ("lstm", "peephole")},
    "classifier, transformer": f"{LABELS} --cell transformer --pool mean",
    "classifier of letters": f"{LABELS} --tokens char",
    "tagger": f"{LABELS} --per-token".replace("labels.tsv", "tags.tsv"),
    "forecaster": SERIES,
    "forecaster, infinite": f"{SERIES} --response infinite",
    "captioner": CLIPS,
    "captioner, mean": f"{CLIPS} --encoder mean --cell peephole",
    "captioner, frozen": f"{CLIPS} --cnn features:digits",
    "features": f"train-features a-images-idx3-ubyte --image-size 20 {FEATURES} {LOOP}",
    "dcgan": GAN,
    "cgan": f"{GAN} --arch cgan",
    **{preset: f"{GAN} --preset {preset} --batch-size 8 --nz 4" for preset in ("classic", "spectral", "r3")},
    **{loss: f"{GAN} --loss {loss}" for loss in ("minimax", "least-squares", "hinge", "wasserstein-gp")},
    "lapgan": f"{GAN} --arch lapgan --levels 2",
    "pix2pix": f"{PIX2PIX} --condition sketch",
    "pix2pix, halves": PIX2PIX.replace("--patch 16", "--patch 1"),
    "pix2pix, alone": f"{PIX2PIX} --condition grey --adversarial 0",
    "cyclegan": CYCLEGAN,
}
# What each option is set to, and in brackets what else is typed with and without it, or after = other data.
VALUES: Mapping[str, str] = {
    "tokens": "--tokens word",
    "vocab_size": "--vocab-size 288",
    "joint": "--separate",
    "max_tokens": "--max-tokens 8",
    "source_key": "--source-key de [=keys.jsonl]",
    "target_key": "--target-key en [=keys.jsonl]",
    "file_key": "--file-key clip [=clips/keys.json]",
    "caption_key": "--caption-key said [=clips/keys.json]",
    "frames": "--frames 2",
    "encoder": "--encoder mean",
    "cnn": "--cnn features:digits",
    "cnn_size": "--cnn-size 16",
    "bag_of_words": "--bag-of-words 2",
    "order": "--order random",
    "bptt": "--bptt 9",
    "cell": "--cell gru-before",
    "peephole": "--peephole full",
    "columns": "--column y",
    "extra": "--with y",
    "time_column": "--time-column t",
    "group": "--group g",
    "gaps": "--gaps ignore",
    "test": "--test 0.3",
    "difference": "--difference last",
    "log": "--log yes",
    "season": "--season 7",
    "minimum": "--minimum 30",
    "scale": "--scale window",
    "response": "--response infinite",
    "horizon": "--horizon 2",
    "linear": "--no-linear",
    "per_token": "--per-token",
    "text_column": "--text-column what [=columns.jsonl]",
    "label_column": "--label-column which [=columns.jsonl]",
    "max_length": "--max-length 3",
    "chunk": "--chunk [--max-length 3]",
    "balance": "--balance full",
    "word_dropout": "--word-dropout 9",
    "pool": "--pool attention",
    "char_size": "--char-size 6",
    "window": "--window 3",
    "embed_size": "--embed-size 12",
    "hidden_size": "--hidden-size 8",
    "num_layers": "--layers 3",
    "decoder_layers": "--decoder-layers 2",
    "num_heads": "--heads 4",
    "num_kv_heads": "--kv-heads 1",
    "ffn_size": "--ffn-size 12",
    "connections": "--connections residual",
    "layer_norm": "--layer-norm",
    "tied": "--untied",
    "init_scale": "--init-scale 0.5",
    "embed_dropout": "--embed-dropout 0.3",
    "dropout": "--dropout 0.4",
    "variational": "--variational",
    "weight_drop": "--weight-drop 0.3",
    "bidirectional": "--unidirectional",
    "attention": "--attention dot",
    "attention_size": "--attention-size 7",
    "input_feeding": "--no-input-feeding",
    "reverse_source": "--reverse-source",
    "start": "--start eos",
    "positions": "--positions none",
    "norm": "--norm post",
    "activation": "--activation none",
    "causal": "--no-causal",
    "context": "--context 6",
    "label_smoothing": "--label-smoothing 0.3",
    "subword_sampling": "--subword-sampling 0.01",
    "loss_steps": "--loss-steps random",
    "keep": "--keep loss",
    "labels": "--labels others-idx1-ubyte",
    "image_size": "--image-size 7x8",
    "channels": "--channels rgb",
    "fit": "--fit pad [--image-size 8x8]",
    "shift": "--shift 0.4",
    "base_size": "--base-size 3",
    "feature_size": "--feature-size 5",
    "arch": "--arch cgan",
    "preset": "--preset spectral",
    "body": "--body spectral",
    "latent_size": "--nz 5",
    "generator_size": "--ngf 5",
    "discriminator_size": "--ndf 5",
    "loss": "--loss relativistic",
    "r1": "--r1 2.5",
    "r2": "--r2 2.5",
    "gradient_penalty": "--gradient-penalty 5",
    "lr_ratio": "--lr-ratio 2",
    "discriminator_steps": "--discriminator-steps 2",
    "augment": "--augment translation",
    "features": "--features digits",
    "on_collapse": "--on-collapse stop",
    "direction": "--direction b2a",
    "condition": "--condition lowres",
    "flip": "--flip",
    "halvings": "--halvings 1",
    "skips": "--no-skips",
    "patch": "--patch whole",
    "see_input": "--no-see-input",
    "noise": "--noise 0.1",
    "l1": "--l1 3",
    "blocks": "--blocks 2",
    "levels": "--levels 1",
    "level": "--level 2",
    "cycle": "--cycle 3",
    "identity": "--identity 0.5",
    "history": "--history 3",
    "adversarial": "--adversarial 0.5",
    "decay_recurrent": "--decay-recurrent [--weight-decay 1]",
    "watch_gradients": "--watch-gradients 2",
    "steps": "--steps 4",
    "epochs": "--epochs 0.05",
    "minutes": "--minutes 0",
    "batch_size": "--batch-size 5",
    "grad_accumulation": "--grad-accumulation 2",
    "lr": "--lr 0.02",
    "schedule": "--schedule constant",
    "warmup_steps": "--warmup 3 [--steps 40 --eval-every 40]",
    "weight_decay": "--weight-decay 0.9",
    "beta1": "--beta1 0.3",
    "beta2": "--beta2 0.5",
    "clip": "--clip 0.001",
    "ema": "--ema 0.05",
    "eval_every": "--eval-every 4",
    "patience": "--patience 1 [--lr 0 --eval-every 1]",
    "seed": "--seed 7",
    "save_every": "--save-every 2",
    "log_every": "--log-every 2",
    "weights": "--weights fp16",
    "precision": "--precision bf16",
    "device": "--device cpu",
    "threads": "--threads 2",
}
# Where a kind or a command needs another value, for it has that one already or takes others.
SPECIAL = {
    ("train-lm", "paths"): "other.txt",
    ("train-lm", "tied"): "--tied",
    ("train-lm", "valid"): "--valid 0.3",
    ("train-lm", "vocab_size"): "--vocab-size 12 [--tokens word]",
    ("general", "subword_sampling"): "--subword-sampling 0.01 [--vocab-size 300]",
    ("transformer pairs", "subword_sampling"): "--subword-sampling 0.01 [--vocab-size 300]",
    ("gru-before", "cell"): "--cell rnn",
    ("train-seq2seq", "paths"): "other.tsv",
    ("train-seq2seq", "valid"): "--valid other.tsv",
    ("train-seq2seq", "cell"): "--cell gru",
    ("dot", "attention"): "--attention none",
    ("transformer", "paths"): "other.txt",
    ("transformer", "valid"): "--valid 0.3",
    ("transformer", "vocab_size"): "--vocab-size 12 [--tokens word]",
    ("transformer pairs", "paths"): "other.tsv",
    ("transformer pairs", "valid"): "--valid other.tsv",
    ("train-classifier", "paths"): "tags.tsv",
    ("train-classifier", "valid"): "--valid 0.3",
    ("train-classifier", "tokens"): "--tokens char",
    ("train-classifier", "keep"): "--keep loss [--lr 1 --eval-every 1 --valid 0.5]",
    ("train-classifier", "num_heads"): "--heads 2",
    ("train-classifier", "vocab_size"): "--vocab-size 5",
    ("train-classifier", "dropout"): "--dropout 0.1",
    ("train-classifier", "embed_dropout"): "--embed-dropout 0.1",
    ("train-classifier", "hidden_size"): "--hidden-size 16",
    ("train-forecaster", "paths"): "other.csv",
    ("train-forecaster", "valid"): "--valid 0.3",
    ("train-forecaster", "cell"): "--cell rnn",
    ("forecaster, infinite", "response"): "--response finite",
    ("train-forecaster", "order"): "--order 9",
    ("train-captioner", "paths"): "clips/keys.json",
    ("train-captioner", "valid"): "--valid 0.3",
    ("train-captioner", "vocab_size"): "--vocab-size 270",
    ("train-captioner", "image_size"): "--image-size 12",
    ("train-captioner", "keep"): "--keep loss [--lr 1 --eval-every 1]",
    ("train-captioner", "shift"): "--shift 0.2",
    ("train-captioner", "hidden_size"): "--hidden-size 12",
    ("train-captioner", "dropout"): "--dropout 0.1",
    ("captioner, mean", "encoder"): "--encoder sequence",
    ("captioner, frozen", "cnn"): "--cnn small",
    ("train-features", "paths"): "b-images-idx3-ubyte",
    ("train-features", "valid"): "--valid 0.3",
    ("gan-train", "paths"): "b-images-idx3-ubyte",
    ("gan-train", "valid"): "--valid 0.4",
    ("gan-train", "norm"): "--norm instance",
    ("cyclegan", "image_size"): "--image-size 9x8",
    ("lapgan", "image_size"): "--image-size 8x9",
    ("cgan", "arch"): "--arch dcgan",
    ("spectral", "body"): "--body residual",
    ("r3", "loss"): "--loss hinge",
    ("hinge", "loss"): "--loss minimax",
}
# What is no setting, but is asked of the command around the run.
HOW = {
    "out": "--out other",
    "resume": "--resume",
    "overwrite": "--overwrite",
    "config": "--config training.json",
    "tensorboard": "--tensorboard",
    "processes": "--processes 2",
    "quiet": "--quiet",
    "verbose": "--verbose",
}

# What a run leaves behind that does not depend on it, or repeats its settings.
CLOCKS = {"seconds", "units_per_second"}
KEPT = ("model.safetensors", "tokenizer.json", "tokenizer.model", "source.model", "target.model", "history.json")

Left = tuple[Any, ...]


def command_of(kind: str) -> str:
    return KINDS[kind].split()[0]


def cases() -> Iterator[Any]:
    """Every option of every command for its first kind, and what concerns the network for the others."""
    seen: set[str] = set()
    for kind in KINDS:
        command = command_of(kind)
        first = command not in seen or kind in ("transformer pairs", "pix2pix", "pix2pix, halves", "cyclegan", "lapgan")
        seen.add(command)
        known = [other.defaults for other in COMMANDS[command]]
        parts = [part for d in known for part in (d.network, *([d.game] if command == "gan-train" else []))]
        network = {field.name for part in parts for field in dataclasses.fields(part)}
        for name in parameters(command):
            if kind == "transformer" and name in ("source_key", "target_key"):
                continue  # whoever names a column says that the file is a table of pairs
            if kind.startswith(("pix2pix", "cyclegan", "lapgan")) and name == "arch":
                continue  # another one has none of the options that are typed with it
            if name not in HOW and (first or name in network | {"decay_recurrent", "watch_gradients"}):
                yield pytest.param(kind, name, marks=() if kind == "lstm" else pytest.mark.slow)


def words_for(kind: str, name: str) -> tuple[list[str], list[str]]:
    """The command without an option, and with it."""
    value = SPECIAL.get((kind, name)) or SPECIAL.get((command_of(kind), name)) or VALUES[name]
    option_words, _, context = value.removesuffix("]").partition(" [")
    base = [*KINDS[kind].split(), *([] if context.startswith("=") else context.split())]
    if context.startswith("=") and (base[1].endswith("tsv") or base[1] == "clips"):
        base[1] = context.removeprefix("=")
    if name == "paths":
        return base, [base[0], option_words, *base[2:]]
    if name in ("epochs", "minutes"):  # in place of the bound that is there
        return base, [*shlex.split(shlex.join(base).replace(" --steps 5", "")), *option_words.split()]
    return base, [*base, *option_words.split()]


# Running ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the data of all kinds, which is the current one."""
    folder = tmp_path_factory.mktemp("data")
    for name, seed in (("text", 0), ("other", 1)):
        sides = digit_pairs(90, seed=seed)
        (folder / f"{name}.txt").write_text("".join(f"{a} {b}\n" for a, b in sides))
        (folder / f"{'pairs' if name == 'text' else name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in sides))
    rows = zip(digit_pairs(90, seed=2), digit_pairs(90, seed=3), strict=True)
    keys = [{"source": a, "target": b, "de": c, "en": d} for (a, b), (c, d) in rows]
    (folder / "keys.jsonl").write_text("".join(json.dumps(row) + "\n" for row in keys))
    texts = [f"{a} und {b}" for a, b in digit_pairs(90, seed=4)]
    (folder / "labels.tsv").write_text("".join(f"{text}\t{len(text) % 3}\n" for text in texts))
    (folder / "tags.tsv").write_text("\n".join("".join(f"{w}\t{len(w) % 3}\n" for w in t.split()) for t in texts))
    columns = [{"text": t, "label": len(t) % 3, "what": t[::-1], "which": len(t) % 2} for t in texts]
    (folder / "columns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in columns))
    draw = np.random.Generator(np.random.PCG64(0))
    for name in ("series", "other"):
        lines = ["date,t,g,x,y"]
        for i, (x, y) in enumerate(draw.random((120, 2)).tolist()):
            day = datetime.date(2024, 1, 1) + datetime.timedelta(days=i + i // 50)
            lines.append(f"{day},{1900 + i // 12}-{i % 12 + 1:02d},{'ab'[i // 60]},{x + 2:.3f},{x + y + 3:.3f}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    drawn_clips(folder / "clips")
    keys = [{"file": f"{i}.gif", "caption": f"a {i}", "clip": f"{i + 1}.gif", "said": f"b {-i}"} for i in range(12)]
    (folder / "clips/keys.json").write_text(json.dumps(keys))
    for name in ("a", "b"):
        write_idx(folder / f"{name}-images-idx3-ubyte", draw.integers(0, 256, (24, 8, 10)))
        write_idx(folder / f"{name}-labels-idx1-ubyte", np.arange(24) % 2)
    write_idx(folder / "others-idx1-ubyte", np.arange(24) % 3)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def write_idx(path: Path, values: Any) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(bytes((0, 0, 8, values.ndim)) + sizes + values.astype(np.uint8).tobytes())


def left_behind(command: Command[Any], settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Left:
    """What a run leaves: weights, tokenizer and measures, which steps were saved, and what was asked of the machine."""
    told: list[object] = []
    save, device, threads = CheckpointStore.save, machine.choose_device, machine.set_threads

    def chosen(name: str) -> torch.device:
        told.append(name)
        return device(name)

    def set_to(count: int, place: torch.device) -> int:
        told.append(count)
        return threads(1, place)

    def saved(store: CheckpointStore, step: int, *args: Any, **more: Any) -> None:
        told.append(step)
        save(store, step, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(language_model_task, "SAMPLE_TOKENS", 2)  # nobody looks at them
        patch.setattr(CheckpointStore, "save", saved)
        patch.setattr(machine, "choose_device", chosen)
        patch.setattr(machine, "set_threads", set_to)
        try:
            terminal = Terminal(quiet=True, verbose=False)
            command.train(settings, folder, terminal, resume=False, overwrite=True, tensorboard=False)
        except CollapsedError as error:
            told.append(error.message)
    lines = (folder / "metrics.jsonl").read_text().splitlines() if (folder / "metrics.jsonl").exists() else []
    records = [{k: v for k, v in json.loads(line).items() if k not in CLOCKS} for line in lines]
    files = {name: (folder / name).read_bytes() for name in KEPT if (folder / name).is_file()}
    return told, records, {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


BASES: dict[tuple[str, ...], Left] = {}


# The settings -------------------------------------------------------------------------------------------------


def test_every_option_of_every_training_command_has_a_value_here() -> None:
    for command in COMMANDS:
        assert set(parameters(command)) <= {*HOW, *VALUES, "paths", "valid"}, command


def word_of(command: Command[Any], name: str) -> str:
    """What an option is called, of whichever kind of data it is."""
    options: dict[str, Option] = {}
    for other in COMMANDS[command.defaults.command]:
        options |= other.defaults.options()
    return options[name].word if name in options else name.replace("_", "-")


@pytest.mark.parametrize(("kind", "name"), list(cases()))
def test_an_option_changes_what_a_run_does_or_is_refused(
    kind: str, name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "on_collapse":  # no run of five steps is hopeless by itself
        watches = ((gan_watch, "diagnose"), *((w, "diagnose_translation") for w in (translation_watch, unpaired_watch)))
        for watch, name_there in watches:
            monkeypatch.setattr(watch, name_there, lambda history: Diagnosis("collapsed", "all alike"))
    without, words = words_for(kind, name)
    command, before = settled(without, monkeypatch)
    key = (kind, *without, name if name == "on_collapse" else "")
    if key not in BASES:
        BASES[key] = left_behind(command, before, tmp_path / "without", monkeypatch)
    refusal = ""
    try:
        command, after = settled(words, monkeypatch)
    except UsageError as error:
        refusal, after = error.message, before
    if not refusal:
        assert after != before
        assert left_behind(command, after, tmp_path / "with", monkeypatch) != BASES[key]
        return
    assert refusal.startswith(f"--{word_of(command, name)} has no effect ")
    if name in before.options():  # not, say, the attention of a text
        monkeypatch.setattr(training, "refuse_idle", lambda ctx, idle: None)
        command, after = settled(words, monkeypatch)
        assert after != before
        assert left_behind(command, after, tmp_path / "with", monkeypatch) == BASES[key], "it has one"


@pytest.mark.parametrize("name", HOW)
@pytest.mark.parametrize("kind", ["lstm", "general", "transformer", "transformer pairs", "features", "dcgan"])
def test_what_is_no_setting_is_asked_of_the_command(
    kind: str, name: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in parameters(command_of(kind)):
        pytest.skip("a GAN is trained by one process")
    before = asked(KINDS[kind].split(), monkeypatch)
    command, settings = before[:2]
    values = to_json(settings)
    values["train"]["schedule"] = "linear"  # as no option says
    Path("training.json").write_text(json.dumps({"command": command.defaults.command, "settings": values}))
    assert asked([*KINDS[kind].split(), *HOW[name].split()], monkeypatch) != before
