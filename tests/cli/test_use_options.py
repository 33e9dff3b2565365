"""No option of a command that uses a model is ignored: each changes what comes out, or is refused.

The options are taken from the parser, so that a new one without an entry here fails. For each kind of model a command
runs with and without the option: what it prints, writes and asks of the machine must differ, or the option is refused
by name.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from asking import GROUP, parameters
from drawn_clips import drawn_clips
from PIL import Image
from running import Call, digit_pairs, snapshot

from seqgen import modeldir
from seqgen.cli.options import flag
from seqgen.cli.terminal import Terminal
from seqgen.config import (
    CaptionerConfig,
    ClassifierConfig,
    ClipConfig,
    CycleGanConfig,
    CycleGanNetworks,
    FeatureConfig,
    ForecasterConfig,
    ForecasterSettings,
    GanConfig,
    GanNetworks,
    ImageFormat,
    LabelledTextConfig,
    LapGanConfig,
    LapGanNetworks,
    ParallelConfig,
    Pix2PixConfig,
    Pix2PixNetworks,
    RecurrentConfig,
    Seq2SeqConfig,
    SeriesConfig,
    TrainConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
)
from seqgen.data.captioned_corpus import build_captioned
from seqgen.data.labelled_corpus import build_labelled
from seqgen.data.parallel import build_parallel
from seqgen.data.tokenizers import CharTokenizer
from seqgen.tasks.captioning.caption import CaptionWriter
from seqgen.tasks.captioning.model import CaptionerModel
from seqgen.tasks.classification.classify import Labeller
from seqgen.tasks.classification.model import ClassifierModel
from seqgen.tasks.features import model as features
from seqgen.tasks.forecasting.recipe import ForecasterRecipe
from seqgen.tasks.gan.model import GanModel
from seqgen.tasks.image_translation.model import TranslatorModel
from seqgen.tasks.image_translation.translate import ImageTranslator
from seqgen.tasks.language import model as language_model
from seqgen.tasks.language.model import LanguageConfig
from seqgen.tasks.translation import model as translation
from seqgen.tasks.translation import score as scoring
from seqgen.tasks.translation import translate as translating
from seqgen.tasks.translation.model import TranslationConfig
from seqgen.train import machine

# A command for each kind of model, in a folder that has the data and the models.
LINES = [
    *(f"sample -m {kind} --prompt eins --length 90 --seed 1" for kind in ("lstm", "window", "transformer")),
    *(f"translate -m {kind} eins-zwei-drei-vier" for kind in ("general", "none", "pairs")),
    *(f"score pairs.tsv -m {kind}" for kind in ("general", "pairs")),
    "classify -m letters eins-zwei drei",
    "classify -m words eins zwei drei acht neun",
    "forecast -m series",
    "forecast new.csv -m series --column x",
    "evaluate new.csv -m series --column x",
    "evaluate labels.tsv -m letters",
    "evaluate tags.tsv -m words",
    *(f"caption clips/1.gif clips/2.gif -m {kind}" for kind in ("clipped", "means")),
    "evaluate clips/captions.json -m clipped",
    "evaluate text.txt -m lstm",
    "evaluate text.txt -m transformer",
    "evaluate pairs.tsv -m general",
    "evaluate a.npz -m cgan --samples 8",
    "evaluate a.npz b.npz",
    "evaluate a.npz -m features",
    *(f"gan-sample -m {kind} --n 16 --seed 1" for kind in ("dcgan", "cgan", "lapgan")),
    *(f"gan-translate a.png -m {kind}" for kind in ("sketched", "paired", "cycle")),
    "evaluate a.npz -m sketched",
    "evaluate a.npz -m lapgan --samples 8",
    "evaluate a.npz b.npz -m cycle",
    *(f"inspect -m {kind}" for kind in ("lstm", "window", "transformer", "general", "pairs", "letters", "clipped")),
    "plot lstm",
    "models",
]
# Export needs packages of other engines: test_export.py.
COMMANDS = (
    "sample",
    "translate",
    "classify",
    "forecast",
    "caption",
    "score",
    "evaluate",
    "gan-sample",
    "gan-translate",
    "inspect",
    "plot",
    "models",
)
# What each option is set to; in brackets what is typed with and without it, and after = what stands for the data.
VALUES: Mapping[str, str] = {
    "model": "-m other",
    "prompt": "--prompt zwei",
    "length": "--length 7",
    "n": "--n 2",
    "temperature": "--temperature 0.1",
    "top_k": "--top-k 1",
    "top_p": "--top-p 0.05",
    "greedy": "--greedy",
    "stop": "--stop e",
    "seed": "--seed 2",
    "as_json": "--json",
    "device": "--device auto",
    "threads": "--threads 2",
    "quiet": "--quiet",
    "verbose": "--verbose",
    "precision": "--precision bf16",
    "ensemble": "--ensemble other",
    "beam": "--beam 1",
    "exhaustive": "--exhaustive --max-nodes 300",
    "sampled": "--sample --seed 1",
    "max_hypotheses": "--max-hypotheses 1",
    "max_nodes": "--max-nodes 3 [--exhaustive --json]",
    "max_seconds": "--max-seconds 1e-9 [--exhaustive --json --max-nodes 2000]",
    "length_penalty": "--length-penalty 2 [--scores]",
    "coverage_penalty": "--coverage-penalty 3 [--scores]",
    "max_length": "--max-length 2",
    "min_length": "--min-length 15",
    "no_repeat_ngram": "--no-repeat-ngram 1",
    "prefix": "--prefix zwei",
    "n_best": "--n-best 2",
    "scores": "--scores",
    "alignments": "--alignments",
    "show_beams": "--show-beams",
    "beam_svg": "--beam-svg tree.svg",
    "attention_png": "--attention-png map.png",
    "batch_size": "--batch-size 3",
    "batch_tokens": "--batch-tokens 5",
    "per_token": "--tokens",
    "top": "--top 2",
    "steps": "--steps 5",
    "columns": "--column y",
    "extra": "--with y",
    "time_column": "--time-column t",
    "group": "--group g",
    "plot": "--plot",
    "last": "--last 15",
    "sentences": "--sentences",
    "file_key": "--file-key clip [=clips/keys.json]",
    "caption_key": "--caption-key said [=clips/keys.json]",
    "files": "clips/0.gif",
    "text_column": "--text-column b [=columns.jsonl]",
    "label_column": "--label-column d [=columns.jsonl]",
    "confusion": "--confusion map.png",
    "source_key": "--source-key de [=keys.jsonl]",
    "target_key": "--target-key en [=keys.jsonl]",
    "tail": "--tail 0.5",
    "dynamic": "--dynamic 0.1",
    "search_errors": "--search-errors --max-nodes 20",
    "features": "--features features",
    "weights": "--weights nothing.pth",
    "samples": "--samples 9",
    "save_statistics": "--save-statistics s.npz",
    "classes": "--class 1",
    "grid": "--grid 1x16",
    "form": "--format npz",
    "out": "--out made.png",
    "overwrite": "--overwrite",
    "interpolate": "--interpolate 0 1",
    "truncation": "--truncation 0.1",
    "attention": "--attention eins",
    "target": "--target zwei [--attention eins]",
    "positions": "--positions",
    "gradients": "--gradients text.txt",
    "compare": "--compare other [--gradients text.txt --max-distance 9]",
    "max_distance": "--max-distance 9 [--gradients text.txt]",
    "png": "--png made.png [--positions]",
    "font": "--font serif.ttf [--png made.png --positions]",
    "measure": "--measure grad_norm",
    "log": "--log",
    "texts": "zwei",
    "paths": "=other",
    "runs": "=other",
    "card": "lstm",
    "derive": "--derive",
    "pair": "--pair",
    "image_size": "--image-size 9",
    "fit": "--fit pad [--image-size 8x9]",
    "noise": "--no-noise",
    "tile": "--tile 4",
    "direction": "--direction b2a",
    "stages": "--stages",
    "features_a": "--features-a features",
    "aligned": "--aligned",
    "reader": "--reader paired",
}
# The same for one command, where it takes something else.
SPECIAL: Mapping[tuple[str, str], str] = {
    ("sample", "greedy"): "--greedy !--seed",
    ("forecast", "paths"): "alone.csv",
    ("forecast", "sampled"): "--paths 2 --seed 1",
    ("forecast", "seed"): "--seed 2 [--paths 2 --seed 1]",
    ("forecast", "png"): "--png made.png",
    ("forecast", "font"): "--font serif.ttf [--png made.png]",
    ("translate", "font"): "--font serif.ttf [--attention-png map.png]",
    ("plot", "font"): "--font serif.ttf",
    ("translate", "temperature"): "--temperature 0.1 [--sample --seed 1]",
    ("translate", "top_k"): "--top-k 1 [--sample --seed 1]",
    ("translate", "top_p"): "--top-p 0.05 [--sample --seed 1]",
    ("translate", "seed"): "--seed 2 [--sample --seed 1]",
    ("caption", "alignments"): "--alignments",
    ("caption", "font"): "--font serif.ttf [--attention-png map.png]",
    ("caption", "temperature"): "--temperature 0.1 [--sample --seed 1]",
    ("caption", "top_k"): "--top-k 1 [--sample --seed 1]",
    ("caption", "top_p"): "--top-p 0.05 [--sample --seed 1]",
    ("caption", "seed"): "--seed 2 [--sample --seed 1]",
    ("caption", "prefix"): "--prefix square",
    ("gan-translate", "compare"): "--compare",
    ("evaluate", "length_penalty"): "--length-penalty 9",
    ("evaluate", "max_nodes"): "--max-nodes 2 [--search-errors --json --max-nodes 200]",
    ("evaluate", "max_seconds"): "--max-seconds 1e-9 [--search-errors --json --max-nodes 200]",
    ("evaluate", "beam"): "--beam 1 [--json]",
}
# Refusals that say why in other words than "has no effect".
REFUSED = (
    "the model reads 0 other inputs",
    "rows to judge by",
    "one table, not 2",
    "come from one list, not",
    "does not attend to frames",
    "a captioner attends to the frames of a file",
    "has no attention to show",
    "a classifier has no target",
    "--text-column and --label-column",
    "there is no attention to show",
    "is no Transformer",
    "is recurrent: its state alone knows positions",
    "it has no state that a gradient comes back through",
    "--gradients looks at recurrent language models",
    "--target is a translation, but",
    "--weights belongs to inception",
    "the model knows no classes, so --class",
    "--derive: this model learned from given pairs",
    "--pair: this model learned from the sketch",
    "--pair: this model learned from images that are not paired",
    "--direction b2a: this model goes",
    "--stages: this model makes an image at once",
    "a pix2pix model, whose images are pairs",
    "no coverage can be penalised without attention",
)


def cases() -> Iterator[tuple[str, str]]:
    """Every option of every command for each of its lines."""
    for line in LINES:
        for name in parameters(line.split()[0]):
            yield line, name


# The folder ---------------------------------------------------------------------------------------------------

SIZES: dict[str, Any] = {"embed_size": 8, "num_layers": 1, "dropout": 0.0}
SMALL: dict[str, Any] = {"embed_size": 4, "embed_dropout": 0.0, "dropout": 0.0}
HEADS: dict[str, Any] = {**SIZES, "num_heads": 2, "ffn_size": 8}
LANGUAGE: dict[str, LanguageConfig] = {
    "lstm": RecurrentConfig(hidden_size=8, **SIZES),
    "window": RecurrentConfig(cell="window", hidden_size=8, window=4, **SIZES),
    "transformer": TransformerConfig(context=32, **HEADS),
}
TRANSLATION: dict[str, TranslationConfig] = {
    "general": Seq2SeqConfig(hidden_size=8, **SIZES),
    "none": Seq2SeqConfig(hidden_size=8, attention="none", **SIZES),
    "pairs": TransformerSeq2SeqConfig(**HEADS),
}
RECORDS = [{"step": i, "loss": 3.0 - i / 10, "grad_norm": 1.0 + i} for i in range(1, 5)]


def publish(directory: Path, files: Mapping[str, bytes], network: torch.nn.Module, sure: float = 1.5) -> None:
    """An untrained model that is sure of what it says."""
    weights = {n: value * (sure if value.ndim > 1 else 1) for n, value in network.state_dict().items()}
    directory.mkdir(parents=True)
    log = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
    whole = {**files, modeldir.WEIGHTS: modeldir.tensors_to_bytes(weights), "metrics.jsonl": log, modeldir.CARD: b"#\n"}
    modeldir.publish(directory, whole)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data, models, and for each model another one of its kind below `others`."""
    root = tmp_path_factory.mktemp("use")
    for name, seed in (("pairs", 0), ("other", 1)):
        rows = digit_pairs(90, seed=seed)
        (root / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rows[:8]))
        (root / f"{'text' if seed == 0 else name}.txt").write_text("".join(f"{a} {b}\n" for a, b in rows[:12]))
    (root / "train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in digit_pairs(90, seed=0)))
    keys = [{"source": "eins", "target": "one", "de": "zwei drei", "en": "two"}, {"source": "a", "target": "b"}]
    (root / "keys.jsonl").write_text("".join(json.dumps({"de": "x", "en": "y", **row}) + "\n" for row in keys))
    shutil.copy(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSerif.ttf"), root / "serif.ttf")
    draw = np.random.Generator(np.random.PCG64(0))
    for name in ("a", "b", "other"):
        np.savez(
            root / f"{name}.npz", images=draw.integers(0, 256, (12, 8, 8)).astype(np.uint8), labels=np.arange(12) % 2
        )
    for name in ("a", "other"):
        Image.fromarray(draw.integers(0, 256, (12, 16)).astype(np.uint8)).save(root / f"{name}.png")
    corpus = build_parallel(ParallelConfig(paths=(str(root / "train.tsv"),), vocab_size=286), True, root / "d", print)
    tokenizer = CharTokenizer("".join(sorted(set((root / "text.txt").read_text() + (root / "other.txt").read_text()))))
    for seed, place in enumerate((root, root / "others")):
        for kind, config in LANGUAGE.items():
            network = language_model.new_network(config, tokenizer, seed)
            publish(place / kind, language_model.model_files(network, tokenizer), network)
        for kind, translating_config in TRANSLATION.items():
            model = translation.TranslationModel.new(translating_config, corpus, seed)
            publish(place / kind, model.files(), model.network, sure=1.5 if kind != "pairs" else 3.0)
        form = ImageFormat(channels=1, height=8, width=8, classes=("0", "1"))
        for kind in ("dcgan", "cgan"):
            images = form if kind == "cgan" else ImageFormat(channels=1, height=8, width=8)
            sizes = GanConfig(arch="cgan" if kind == "cgan" else "dcgan", latent_size=4, generator_size=4)
            gan = GanModel.new(GanNetworks(images=images, gan=sizes), seed)
            publish(place / kind, gan.files(), gan.networks, sure=5.0)
        for kind in ("sketched", "paired"):
            translator = TranslatorModel.new(
                Pix2PixNetworks(
                    source_channels=1,
                    images=ImageFormat(channels=1, height=8, width=8),
                    direction="a2b",
                    condition="sketch" if kind == "sketched" else "none",
                    pix2pix=Pix2PixConfig(generator_size=4, discriminator_size=4, halvings=2, patch="1"),
                ),
                seed,
            )
            publish(place / kind, translator.files(), translator.networks, sure=5.0)
        lapgan = GanModel.new(
            LapGanNetworks(images=form, lapgan=LapGanConfig(levels=2, latent_size=4, generator_size=4)), seed
        )
        publish(place / "lapgan", lapgan.files(), lapgan.networks, sure=5.0)
        cycle = TranslatorModel.new(
            CycleGanNetworks(
                images_a=ImageFormat(channels=1, height=8, width=8),
                images_b=ImageFormat(channels=1, height=8, width=8),
                cyclegan=CycleGanConfig(generator_size=4, discriminator_size=4, blocks=1, patch="1"),
            ),
            seed,
        )
        publish(place / "cycle", cycle.files(), cycle.networks, sure=5.0)
        net = features.new_network(FeatureConfig(base_size=2, feature_size=4, hidden_size=4), form, seed)
        publish(place / "features", features.model_files(net), net)
    draw_labels(root)
    draw_series(root)
    drawn_clips(root / "clips")
    keys = [{"clip": "1.gif", "said": "a dog", "file": "2.gif", "caption": "a cat"}]
    (root / "clips/keys.json").write_text(json.dumps(keys))
    (root / "other").mkdir()
    (root / "other/captions.json").write_text(json.dumps({"../clips/0.gif": "a dog", "../clips/1.gif": "a cat"}))
    for seed, place in enumerate((root, root / "others")):
        settings = ForecasterSettings(
            series=SeriesConfig(paths=(str(root / "series.csv"),), columns=("x",)),
            network=ForecasterConfig(horizon=3, order=4, hidden_size=4),
            train=TrainConfig(steps=1, seed=seed),
        )
        recipe = ForecasterRecipe(settings)
        trainee = recipe.build(recipe.make(root / "d-series"))
        torch.nn.init.normal_(trainee.network.output.weight)
        publish(place / "series", trainee.files(), trainee.network)
    for seed, place in enumerate((root, root / "others")):
        for kind in ("letters", "words"):
            path = str(root / f"{'labels' if kind == 'letters' else 'tags'}.tsv")
            texts = LabelledTextConfig(paths=(path,), per_token=kind == "words")
            labelled = build_labelled(texts, letters=True, directory=root / f"d-{kind}", warn=print)
            classifier = ClassifierModel.new(ClassifierConfig(hidden_size=8, char_size=4, **SMALL), labelled, seed)
            torch.nn.init.normal_(classifier.network.output.weight)
            publish(place / kind, classifier.files(), classifier.network)
    clips = ClipConfig(paths=(str(root / "clips"),), frames=3, image_size=16, vocab_size=300)
    captioned = build_captioned(clips, None, root / "d-clips", print)
    for seed, place in enumerate((root, root / "others")):
        for kind in ("clipped", "means"):
            tiny = CaptionerConfig(
                encoder="mean" if kind == "means" else "sequence", hidden_size=8, attention_size=4, cnn_size=8, **SIZES
            )
            captioner = CaptionerModel.new(tiny, clips, captioned.tokenizer, None, seed)
            publish(place / kind, captioner.files(), captioner.network, sure=1.2)
    before = Path.cwd()
    os.chdir(root)
    yield root
    os.chdir(before)


def draw_labels(root: Path) -> None:
    """Words with a label each, and the same as tagged sentences; columns with other names hold other ones."""
    words = [a for a, _ in digit_pairs(90, seed=5)]
    (root / "labels.tsv").write_text("".join(f"{word.replace(' ', '-')}\t{len(word) % 2}\n" for word in words))
    tagged = ["".join(f"{word}\t{len(word) % 2}\n" for word in text.split()) for text in words]
    (root / "tags.tsv").write_text("\n".join(tagged))
    rows = [
        {"text": w.replace(" ", "-"), "label": len(w) % 2, "b": w[::-1].strip(), "d": len(w) % 3 % 2} for w in words
    ]
    (root / "columns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def draw_series(root: Path) -> None:
    """A series, the same with new rows, and others beside it."""
    draw = np.random.Generator(np.random.PCG64(0))
    lines = ["date,t,g,x,y"]
    for i, (x, y) in enumerate(draw.random((160, 2)).tolist()):
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=i)
        lines.append(f"{day},{1900 + i // 12}-{i % 12 + 1:02d},{'ab'[i // 80]},{x:.3f},{x + y:.3f}")
    (root / "series.csv").write_text("\n".join(lines[:131]) + "\n")
    (root / "new.csv").write_text("\n".join(lines) + "\n")
    (root / "alone.csv").write_text("".join(f"{line.split(',')[0]},{line.split(',')[3]}\n" for line in lines[:90]))
    (root / "other.csv").write_text("\n".join([lines[0], *lines[21:]]) + "\n")


# Running ------------------------------------------------------------------------------------------------------


def words_for(line: str, name: str) -> tuple[list[str], list[str]]:
    """The command without an option, and with it."""
    command = line.split()[0]
    value = SPECIAL.get((command, name)) or VALUES[name]
    if "letters" in line:
        value = value.replace("text.txt", "labels.tsv").replace("distance 9", "distance 8")
    typed, _, context = value.removesuffix("]").partition(" [")
    base = line.split()
    if context.startswith("="):
        base[1] = context.removeprefix("=")
    else:
        for words in re.findall(r"--?\S+(?: (?!-)\S+)*", context):
            base = put(base, words.split())
    if typed == "=other":
        return base, [base[0], re.sub(r"^\w+", "other" if "." in base[1] else "others/lstm", base[1]), *base[2:]]
    if name == "texts":
        return base, [*base[:-1], typed]
    if name in ("card", "files") or (command, name) == ("forecast", "paths"):
        return base, [*base, typed]
    if typed in ("-m other", "--compare other", "--ensemble other"):
        kind = base[base.index("-m") + 1] if "-m" in base else "features"
        typed = typed.replace("other", f"others/{kind}")
    added = typed
    for dropped in re.findall(r" !(\S+)", typed):
        place = base.index(dropped)
        added = added.replace(f" !{dropped}", "")
        return base, [*base[:place], *base[place + 2 :], *added.split()]
    with_it = base
    for words in re.findall(r"--?\S+(?: (?!-)\S+)*", added):
        with_it = put(with_it, words.split())
    return base, with_it


def put(line: list[str], words: list[str]) -> list[str]:
    """A line with an option, in place of the same option if it is there."""
    if words[0] in line:
        place = line.index(words[0])
        return [*line[:place], *words, *line[place + len(words) :]]
    return [*line, *words]


def seen(words: list[str], folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Any]:
    """The exit code, and the streams, the files and what was asked of the machine."""
    told: list[object] = []
    before = snapshot(folder)
    device, threads, init = machine.choose_device, machine.set_threads, Terminal.__init__
    prepared, forced = translating.Translator.__post_init__, scoring.force_decode
    label, told_of = Labeller.__init__, CaptionWriter.__post_init__
    prepare_images = ImageTranslator.__init__

    def choose(name: str) -> torch.device:
        told.append(name)
        return device(name)

    def use(count: int, place: torch.device) -> int:
        told.append(count)
        return threads(1, place)

    def begin(terminal: Terminal, *, quiet: bool, verbose: bool) -> None:
        told.append((quiet, verbose))
        init(terminal, quiet=quiet, verbose=verbose)

    def prepare(translator: translating.Translator) -> None:
        # What a search is told too: that it makes a difference is tested where the searches are.
        told.append((translator.batch_size, translator.batch_tokens, translator.dtype, translator.search))
        prepared(translator)

    def labelling(labeller: Labeller, *args: Any, **more: Any) -> None:
        told.append(more)
        label(labeller, *args, **more)

    def write(writer: CaptionWriter) -> None:
        told.append((writer.batch_size, writer.search))
        told_of(writer)

    def translating_images(translator: ImageTranslator, model: Any, **more: Any) -> None:
        told.append(more)  # that tiles are used is tested where the pictures are larger than what they see
        prepare_images(translator, model, **more)

    def force(model: Any, pairs: Any, size: int) -> Any:
        told.append(size)
        return forced(model, pairs, size)

    with monkeypatch.context() as patch:
        patch.setattr(machine, "choose_device", choose)
        patch.setattr(machine, "set_threads", use)
        patch.setattr(Terminal, "__init__", begin)
        patch.setattr(translating.Translator, "__post_init__", prepare)
        patch.setattr(scoring, "force_decode", force)
        patch.setattr(ImageTranslator, "__init__", translating_images)
        patch.setattr(Labeller, "__init__", labelling)
        patch.setattr(CaptionWriter, "__post_init__", write)
        ended = call(*words)
    after = snapshot(folder)
    for name in after.keys() - before.keys():
        (folder / name).unlink()
    made = {name: content for name, content in after.items() if before.get(name) != content}
    clocks = re.compile(rb'"seconds": [\d.]+|in [\d.]+ s\b')
    return ended.code, (ended.err if ended.code else clocks.sub(b"", ended.out), ended.err, made, told)


BASES: dict[str, tuple[int, Any]] = {}


def test_every_option_of_every_command_has_a_value_here() -> None:
    for command in COMMANDS:
        assert set(parameters(command)) <= set(VALUES), command


@pytest.mark.slow
@pytest.mark.parametrize(("line", "name"), list(cases()))
def test_an_option_changes_what_comes_out_or_is_refused(
    line: str, name: str, folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    without, words = words_for(line, name)
    key = " ".join(without)
    if key not in BASES:
        BASES[key] = seen(without, folder, call, monkeypatch)
    code, changed = seen(words, folder, call, monkeypatch)
    if code == 0:
        assert BASES[key][0] == 0, BASES[key]
        assert changed != BASES[key][1]
        return
    said = changed[1]
    assert code == 2, changed
    flags = [flag(p) for p in GROUP.commands[line.split()[0]].params if p.name == name]  # type: ignore[attr-defined]
    if BASES[key][0] == 2:  # what the option belongs to is refused before it
        flags += [word for word in without if word.startswith("--")]
    assert any(f"error: {word} has no effect " in said for word in flags) or any(why in said for why in REFUSED), said
