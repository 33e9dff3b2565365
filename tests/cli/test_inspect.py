"""`seqgen inspect` from end to end: what it prints, what it draws, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from running import Call, TinyModel, seqgen

from seqgen import modeldir
from seqgen.config import RecurrentConfig, TransformerConfig
from seqgen.data.tokenizers import CharTokenizer
from seqgen.tasks.language.model import model_files, new_network

KEYS = ["model", "task", "architecture", "parameters", "vocab_size", "source_vocab_size", "network", "parts"]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained Transformer that knows three letters."""
    directory = tmp_path_factory.mktemp("writer") / "m"
    directory.mkdir()
    tokenizer = CharTokenizer("abc")
    config = TransformerConfig(embed_size=8, num_layers=2, num_heads=2, ffn_size=8, context=16)
    network = new_network(config, tokenizer, 0)
    weights = modeldir.tensors_to_bytes(network.state_dict())
    modeldir.publish(directory, {**model_files(network, tokenizer), modeldir.WEIGHTS: weights})
    return str(directory)


def is_png(file: str) -> bool:
    with Image.open(file) as picture:
        return picture.format == "PNG"


# Parts --------------------------------------------------------------------------------------------------------


def test_sizes_and_parameters(writer: str, folder: Path, call: Call) -> None:
    ended = call("inspect", "-m", writer)
    assert (ended.code, ended.err) == (0, "")
    title, sort, *table = ended.text.splitlines()
    assert title == writer
    assert (
        sort == f"language-model, transformer, {modeldir.count_parameters(Path(writer, modeldir.WEIGHTS)):,} parameters"
    )
    assert {"num layers 2", "embedding 32 3.3%"} <= {" ".join(line.split()) for line in table}


def test_the_same_as_json(writer: str, tiny: TinyModel, tiny_translation: TinyModel, folder: Path, call: Call) -> None:
    for model in (writer, tiny.name, tiny_translation.name):
        ended = call("inspect", "-m", model, "--json")
        assert (ended.code, ended.err) == (0, "")
        described = json.loads(ended.out)
        assert list(described) == KEYS
        assert sum(described["parts"].values()) == described["parameters"]
        assert described["network"] == json.loads(Path(model, "config.json").read_bytes())["network"]


# Attention ----------------------------------------------------------------------------------------------------


def test_maps_as_numbers(writer: str, folder: Path, call: Call) -> None:
    ended = call("inspect", "-m", writer, "--attention", "abca", "--json")
    assert (ended.code, ended.err) == (0, "")
    (maps,) = json.loads(ended.out)["maps"]
    assert list(maps) == ["kind", "rows", "columns", "weights"]
    assert maps["rows"] == maps["columns"] == list("abca")
    weights = torch.tensor(maps["weights"])
    assert weights.shape == (2, 2, 4, 4)
    assert torch.equal(weights, weights.tril())
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 4), rtol=0, atol=1e-5)


def test_maps_in_the_terminal_and_as_a_picture(writer: str, folder: Path, call: Call) -> None:
    ended = call("inspect", "-m", writer, "--attention", "abca")
    assert (ended.code, ended.err) == (0, "")
    assert ended.text.startswith("self-attention\n")
    assert ended.text.count("layer 2 head 2") == 1
    ended = call("inspect", "-m", writer, "--attention", "abca", "--png", "maps.png")
    assert (ended.code, ended.out, ended.err) == (0, b"", "maps.png: self-attention\n")
    assert is_png("maps.png")


def test_a_given_target_is_looked_at(tiny_translation: TinyModel, folder: Path, call: Call) -> None:
    words = ["inspect", "-m", tiny_translation.name, "--attention", "eins zwei", "--json", "-q"]
    own, given = (json.loads(call(*words, *more).out)["maps"][0] for more in ([], ["--target", "nine nine"]))
    assert own["columns"] == given["columns"]
    assert "".join(given["rows"]) == "▁nine▁nine</s>"


# Positions ----------------------------------------------------------------------------------------------------


def test_positions(writer: str, folder: Path, call: Call) -> None:
    numbers = json.loads(call("inspect", "-m", writer, "--positions", "--json").out)
    assert numbers["kind"] == "rotary"
    assert numbers["values"][0] == [1.0, 1.0]
    assert call("inspect", "-m", writer, "--positions").text.startswith("rotary positions\nrows: positions")
    ended = call("inspect", "-m", writer, "--positions", "--png", "p.png")
    assert (ended.code, ended.out, ended.err) == (0, b"", "p.png: 16 rotary positions\n")
    assert is_png("p.png")


# Gradients ----------------------------------------------------------------------------------------------------

FLOW_KEYS = ["model", "cell", "verdict", "half_life", "doubling", "layers"]
LAYER_KEYS = ["verdict", "half_life", "doubling", "step_norm", "spectral_radii", "norms", "mean_norms", "h_norms"]


@pytest.fixture(scope="module")
def elman(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """An untrained Elman network whose recurrent matrices are too large, and a text."""
    folder = tmp_path_factory.mktemp("elman")
    (folder / "m").mkdir()
    (folder / "abc.txt").write_text("abcab cabba\n" * 30)
    tokenizer = CharTokenizer("abc")
    network = new_network(RecurrentConfig(cell="rnn", hidden_size=16, embed_size=4), tokenizer, 0)
    for name, parameter in network.named_parameters():
        if "weight_hh" in name:
            parameter.data *= 8
    weights = modeldir.tensors_to_bytes(network.state_dict())
    modeldir.publish(folder / "m", {**model_files(network, tokenizer), modeldir.WEIGHTS: weights})
    return TinyModel(folder / "m", folder, folder / "abc.txt")


def test_the_gradient_as_numbers(tiny: TinyModel, folder: Path, call: Call) -> None:
    words = ["inspect", "-m", tiny.name, "--gradients", str(tiny.data), "--max-distance", "12", "--json"]
    ended = call(*words)
    assert (ended.code, ended.err) == (0, "")
    (model,) = json.loads(ended.out)["models"]
    assert list(model) == FLOW_KEYS
    assert (model["model"], model["cell"], len(model["layers"])) == ("tiny", "lstm", 2)
    for layer in model["layers"]:
        assert list(layer) == LAYER_KEYS
        assert list(layer["spectral_radii"]) == ["input", "forget", "candidate", "output"]
        assert {len(layer[name]) for name in ("norms", "mean_norms", "h_norms")} == {13}
        assert (layer["half_life"] is None) != (layer["doubling"] is None)
    assert call(*words).out == ended.out


def test_several_models_in_one_picture(tiny: TinyModel, elman: TinyModel, folder: Path, call: Call) -> None:
    words = ["inspect", "--gradients", str(elman.data), "--max-distance", "30", "--compare", tiny.name, elman.name]
    shown = call(*words)
    assert (shown.code, shown.err) == (0, "")
    assert shown.text.startswith("tiny, lstm · ")
    assert shown.text.count("m, rnn · exploding: doubles every") == 3  # itself, and its curve in each layer's panel
    assert shown.text.count("steps back") == 2
    drawn = call(*words, "--png", "flow.png")
    assert (drawn.code, drawn.out) == (0, b"")
    assert [line.split(",")[0] for line in drawn.err.splitlines()] == ["flow.png: tiny", "flow.png: m"]
    assert is_png("flow.png")


def test_models_of_one_name_are_told_apart_by_their_paths(elman: TinyModel, folder: Path, call: Call) -> None:
    words = ["--gradients", str(elman.data), "-m", elman.name, "--compare", elman.name, "--max-distance", "8", "--json"]
    assert [model["model"] for model in json.loads(call("inspect", *words).out)["models"]] == [elman.name] * 2


def test_a_text_from_a_pipe_serves_every_model(tiny: TinyModel, elman: TinyModel, folder: Path, call: Call) -> None:
    words = ["inspect", "--compare", tiny.name, elman.name, "--gradients", "-", "--max-distance", "9", "--json"]
    ended = seqgen(*words, cwd=folder, stdin=elman.data.read_bytes())
    assert (ended.code, ended.err) == (0, "")
    from_file = [str(elman.data) if word == "-" else word for word in words]
    assert ended.out == call(*from_file).out


def test_a_text_that_is_too_short_is_said(elman: TinyModel, folder: Path, call: Call) -> None:
    ended = call("inspect", "-m", elman.name, "--gradients", str(elman.data), "--max-distance", "400")
    assert (ended.code, ended.error) == (2, "the text has 360 tokens: 400 steps back need 402")


def test_a_model_that_translates_has_no_loss_of_the_next_token(
    tiny: TinyModel, tiny_translation: TinyModel, folder: Path, call: Call
) -> None:
    ended = call("inspect", "-m", tiny_translation.name, "--gradients", str(tiny.data))
    what = "recurrent language models and classifiers"
    expected = f"{tiny_translation.path} is a translation model: --gradients looks at {what}"
    assert (ended.code, ended.error) == (2, expected)


# What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--attention", "a", "--positions"], "--attention and --positions: choose one"),
        (["--target", "a"], "--target has no effect without --attention"),
        (["--png", "x.png"], "--png has no effect without --attention, --positions or --gradients"),
        (["--gradients", "a.txt", "--positions"], "--positions and --gradients: choose one"),
        (["--compare", "a", "b"], "--compare has no effect without --gradients"),
        (["--max-distance", "20"], "--max-distance has no effect without --gradients"),
        (
            ["--gradients", "a.txt"],
            "{} is a Transformer: it has no state that a gradient comes back through",
        ),
        (["--attention", ""], "the text has 0 tokens; maps show 1 to 16"),
        (["--attention", "a", "--target", "b"], "--target is a translation, but {} is a language model"),
        (["--attention", "a", "--png", "no/x.png"], "no/x.png cannot be written: No such file or directory"),
    ],
)
def test_what_does_not_go_together(words: list[str], error: str, writer: str, folder: Path, call: Call) -> None:
    ended = call("inspect", "-m", writer, *words)
    assert ended.code in (1, 2)
    assert ended.out == b""
    assert ended.error == error.format(writer)


def test_a_recurrent_model_has_less_to_show(
    tiny: TinyModel, tiny_translation: TinyModel, folder: Path, call: Call
) -> None:
    ended = call("inspect", "-m", tiny.name, "--attention", "a")
    assert (ended.code, ended.error) == (2, f"{tiny.path} is no Transformer: there is no attention to show")
    ended = call("inspect", "-m", tiny_translation.name, "--positions")
    assert (ended.code, ended.error) == (2, f"{tiny_translation.path} is recurrent: its state alone knows positions")
