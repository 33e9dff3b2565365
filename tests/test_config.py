from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from seqgen.config import (
    MAX_SIZE,
    AdversarialConfig,
    Config,
    FeatureSettings,
    GanSettings,
    ImageFormat,
    LanguageModelSettings,
    ParallelConfig,
    RecurrentConfig,
    RecurrentTextConfig,
    SamplingConfig,
    Seq2SeqConfig,
    TextConfig,
    TrainConfig,
    TransformerConfig,
    TransformerSeq2SeqConfig,
    TransformerTextSettings,
    TranslationSettings,
    WatchConfig,
    from_json,
    in_words,
    to_json,
)
from seqgen.config.settings import checked
from seqgen.errors import ConfigError, UsageError


def read(cls: type[Any], **fields: object) -> Any:
    return from_json(cls, fields, where="file.json")


def through_json(config: Any) -> Any:
    return from_json(type(config), json.loads(json.dumps(to_json(config))), where="x")


def test_a_gradient_is_watched_over_chunks_that_are_long_enough() -> None:
    watch = WatchConfig(watch_gradients=5)
    assert LanguageModelSettings(text=RecurrentTextConfig(bptt=9), watch=watch).watch == watch
    with pytest.raises(ConfigError, match="watch-gradients needs a bptt above 8, not 8"):
        LanguageModelSettings(text=RecurrentTextConfig(bptt=8), watch=watch)


# There and back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        RecurrentConfig(),
        RecurrentConfig(cell="gru", embed_size=1, hidden_size=2, num_layers=3, dropout=0.25),
        RecurrentTextConfig(paths=("a", "b c"), valid="folder/", tokens="sentencepiece", vocab_size=512, bptt=3),
        TrainConfig(epochs=1.5, seed=2**63 - 1, lr=1e-4, clip=math.inf, schedule="linear", precision="bf16"),
        TrainConfig(steps=10),
        SamplingConfig(temperature=0.0, top_k=5, top_p=0.5),
        LanguageModelSettings(),
        LanguageModelSettings(watch=WatchConfig(watch_gradients=50)),
        LanguageModelSettings(text=RecurrentTextConfig(paths=("x",)), train=TrainConfig(steps=3)),
    ],
)
def test_a_config_survives_json(config: Any) -> None:
    assert through_json(config) == config


def test_missing_fields_take_their_defaults() -> None:
    assert read(RecurrentConfig, cell="gru") == RecurrentConfig(cell="gru")


def test_whole_numbers_pass_for_floats() -> None:
    dropout = read(RecurrentConfig, dropout=0).dropout
    assert dropout == 0.0
    assert type(dropout) is float


# What is refused ----------------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_and_the_nearest_suggested() -> None:
    with pytest.raises(ConfigError, match=r"file\.json has an unknown field 'hiden_size'") as caught:
        read(RecurrentConfig, hiden_size=3)
    assert caught.value.hint == "meant 'hidden_size'?"


def test_a_field_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        read(RecurrentConfig, qqq=3)
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        (RecurrentConfig, "hidden_size", "256"),
        (RecurrentConfig, "hidden_size", 256.0),
        (RecurrentConfig, "hidden_size", None),
        (RecurrentConfig, "hidden_size", True),
        (RecurrentConfig, "hidden_size", [1]),
        (RecurrentConfig, "dropout", "0.1"),
        (RecurrentConfig, "dropout", True),
        (RecurrentConfig, "dropout", False),
        (RecurrentConfig, "cell", "transistor"),
        (RecurrentConfig, "cell", 3),
        (RecurrentConfig, "cell", ["lstm"]),
        (RecurrentConfig, "cell", {}),
        (TextConfig, "paths", "data.txt"),
        (TextConfig, "paths", [3]),
        (TextConfig, "paths", {"a": 1}),
        (TextConfig, "valid", 0.1),
        (TrainConfig, "steps", True),
        (TrainConfig, "steps", 1.5),
        (TrainConfig, "minutes", "10"),
    ],
)
def test_a_wrong_type_is_refused_by_name(cls: type[Any], field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^file\.json\.{field} is "):
        read(cls, **{field: value})


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_not_an_object_is_refused(data: object) -> None:
    with pytest.raises(ConfigError, match=r"file\.json is not an object"):
        from_json(RecurrentConfig, data, where="file.json")


def test_a_nested_field_is_named_by_its_path() -> None:
    with pytest.raises(ConfigError, match=r"^file\.json\.network\.cell is 'x'"):
        read(LanguageModelSettings, network={"cell": "x"})
    with pytest.raises(ConfigError, match=r"^file\.json\.train: lr is -1"):
        read(LanguageModelSettings, train={"steps": 1, "lr": -1.0})


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (RecurrentConfig, {"embed_size": 0}, "embed-size is 0, but must be at least 1"),
        (RecurrentConfig, {"hidden_size": MAX_SIZE + 1}, "hidden-size is 65537, but must be at most 65536"),
        (RecurrentConfig, {"num_layers": 65}, "layers is 65, but must be at most 64"),
        (RecurrentConfig, {"dropout": 1.0}, "dropout is 1.0, but must be at most 0.99"),
        (RecurrentConfig, {"dropout": math.nan}, "dropout is nan, but must be a number"),
        (TextConfig, {"vocab_size": -1}, "vocab-size is -1, but must be at least 0"),
        (RecurrentTextConfig, {"bptt": 0}, "bptt is 0, but must be at least 1"),
        (TextConfig, {"valid": "1.0"}, r"valid is 1.0, but a fraction lies in \[0, 1\)"),
        (TextConfig, {"valid": "-0.1"}, "valid is -0.1"),
        (TextConfig, {"valid": "nan"}, "valid is nan"),
        (SamplingConfig, {"temperature": -0.1}, "temperature is -0.1, but must be at least 0"),
        (SamplingConfig, {"top_k": -1}, "top-k is -1"),
        (SamplingConfig, {"top_p": 1.1}, "top-p is 1.1, but must be at most 1"),
        (SamplingConfig, {"top_p": math.nan}, "top-p is nan"),
        (TrainConfig, {"steps": -1}, "steps is -1, but must be at least 0"),
        (TrainConfig, {"minutes": math.nan}, "minutes is nan"),
        (TrainConfig, {"minutes": math.inf}, "minutes is inf"),
        (TrainConfig, {"epochs": math.inf}, "epochs is inf"),
        (TrainConfig, {"steps": 1, "seed": -1}, "seed is -1"),
        (TrainConfig, {"steps": 1, "seed": 2**63}, "seed is 9223372036854775808"),
        (TrainConfig, {"steps": 1, "batch_size": 0}, "batch-size is 0"),
        (TrainConfig, {"steps": 1, "batch_size": 4, "grad_accumulation": 5}, "grad-accumulation is 5, .* at most 4"),
        (TrainConfig, {"steps": 1, "lr": math.inf}, "lr is inf"),
        (TrainConfig, {"steps": 1, "warmup_steps": -1}, "warmup is -1"),
        (TrainConfig, {"steps": 1, "weight_decay": -0.5}, "weight-decay is -0.5"),
        (TrainConfig, {"steps": 1, "clip": -1.0}, "clip is -1.0"),
        (TrainConfig, {"steps": 1, "clip": math.nan}, "clip is nan"),
        (TrainConfig, {"steps": 1, "ema": 1.0}, "ema is 1.0"),
        (TrainConfig, {"steps": 1, "eval_every": 0}, "eval-every is 0"),
        (TrainConfig, {"steps": 1, "save_every": 0}, "save-every is 0"),
        (TrainConfig, {"steps": 1, "log_every": 0}, "log-every is 0"),
        (TrainConfig, {"steps": 1, "patience": -1}, "patience is -1"),
        (TrainConfig, {"steps": 1, "threads": -1}, "threads is -1"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(cls: type[Any], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        cls(**fields)
    with pytest.raises(ConfigError, match=rf"^file\.json: {message}"):
        read(cls, **fields)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_are_grey_or_colour(channels: int) -> None:
    with pytest.raises(ConfigError, match=f"channels is {channels}, but"):
        ImageFormat(channels=channels, height=8, width=8)


def test_a_number_beyond_floats_is_refused() -> None:
    with pytest.raises(ConfigError, match="dropout"):
        from_json(RecurrentConfig, json.loads('{"dropout": 1' + "0" * 400 + "}"), where="file.json")


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ({}, "none of them"),
        ({"steps": 1, "minutes": 1.0}, "steps and minutes"),
        ({"steps": 1, "epochs": 0.0}, "steps and"),
    ],
)
def test_exactly_one_budget_bounds_a_run(budgets: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainConfig(**budgets)


def test_a_gan_takes_its_batch_as_a_whole() -> None:
    with pytest.raises(ConfigError, match="grad-accumulation is not for a GAN"):
        GanSettings(train=TrainConfig(steps=1, grad_accumulation=2))


def test_a_setting_out_of_range_is_bad_usage() -> None:
    with pytest.raises(UsageError) as caught:
        SamplingConfig(top_p=2.0)
    assert caught.value.exit_code == 2


# What nothing reads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "idle"),
    [
        (RecurrentConfig(), {"window": "with --cell lstm", "peephole": "with --cell lstm"}),
        (RecurrentConfig(cell="peephole"), {"window": "with --cell peephole"}),
        (
            RecurrentConfig(cell="window"),
            dict.fromkeys(("weight_drop", "init_scale", "peephole"), "with --cell window"),
        ),
        (Seq2SeqConfig(cell="peephole", attention="additive"), {}),
        (Seq2SeqConfig(cell="peephole", attention="none"), {"attention_size": "with --attention none"}),
        (TransformerConfig(), {}),
        (TransformerSeq2SeqConfig(), {"context": "with --positions sinusoidal"}),
        (TransformerSeq2SeqConfig(positions="learned"), {}),
        (TextConfig(tokens="word"), {}),
        (AdversarialConfig(loss="wasserstein-gp"), {}),
        (AdversarialConfig(loss="hinge"), {"gradient_penalty": "with --loss hinge"}),
    ],
)
def test_each_kind_of_network_leaves_some_fields_unread(config: Config, idle: dict[str, str]) -> None:
    assert config.idle == idle


def test_settings_leave_unread_what_their_parts_do_and_what_only_all_of_them_decide() -> None:
    settings = LanguageModelSettings(
        text=RecurrentTextConfig(valid="0"), network=RecurrentConfig(cell="window"), train=TrainConfig(steps=1)
    )
    assert settings.idle.keys() == {
        *("vocab_size", "weight_drop", "init_scale", "peephole", "patience", "decay_recurrent", "watch_gradients"),
    }
    assert settings.idle["patience"] == "with --valid 0"
    assert GanSettings().idle.keys() == {"gradient_penalty", "decay_recurrent", "grad_accumulation"}


def test_no_field_stands_in_two_parts_of_some_settings() -> None:
    for settings in (LanguageModelSettings, TransformerTextSettings, TranslationSettings, GanSettings, FeatureSettings):
        names = [name for part in to_json(settings()).values() for name in part]
        assert len(names) == len(set(names))


def test_a_configuration_is_told_in_the_words_of_its_options() -> None:
    assert in_words(Seq2SeqConfig(num_layers=2, tied=False)) == (
        "cell lstm, embed-size 256, hidden-size 512, layers 2, dropout 0.3, bidirectional yes, attention general, "
        "input-feeding yes, tied no, joint yes, reverse-source no, start sos"
    )
    images = ImageFormat(channels=1, height=8, width=9, classes=tuple("abcdefg"))
    assert in_words(images) == "channels 1, height 8, width 9, classes a b c d e ..."


# Meaning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("valid", "fraction"), [("0.1", 0.1), ("0", 0.0), ("1e-2", 0.01), ("valid.txt", None), ("data/", None), ("", None)]
)
def test_valid_is_a_fraction_or_a_path(valid: str, fraction: float | None) -> None:
    assert TextConfig(valid=valid).valid_fraction == fraction


def test_configs_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        RecurrentConfig().dropout = 0.5  # type: ignore[misc]


# Fields and their options -------------------------------------------------------------------------------------


def test_a_field_says_how_it_is_typed() -> None:
    options = Seq2SeqConfig.options()
    assert options["num_layers"].typed(3) == ["--layers", "3"]
    assert [options["bidirectional"].typed(value) for value in (True, False)] == [
        ["--bidirectional"],
        ["--unidirectional"],
    ]
    assert options["input_feeding"].typed(False) == ["--no-input-feeding"]
    assert ParallelConfig.options()["valid"].typed(("a", "b")) == ["--valid", "a", "--valid", "b"]


def test_a_range_stands_with_its_field_and_is_checked_when_it_is_made() -> None:
    with pytest.raises(ConfigError, match=r"^layers is 65, but must be at most 64$"):
        RecurrentConfig(num_layers=65)
    with pytest.raises(ConfigError, match=r"^dropout is nan, but must be a number$"):
        RecurrentConfig(dropout=math.nan)


def test_another_default_keeps_the_option() -> None:
    texts, pairs = TransformerConfig.options(), TransformerSeq2SeqConfig.options()
    assert texts["embed_size"] == pairs["embed_size"]
    assert TransformerConfig().embed_size != TransformerSeq2SeqConfig().embed_size


def test_parts_that_share_a_name_are_refused_where_they_are_declared() -> None:
    with pytest.raises(TypeError, match=r"^Twice: both text and more have a field paths$"):

        @checked
        @dataclass(frozen=True, kw_only=True)
        class Twice(LanguageModelSettings):
            more: RecurrentTextConfig = field(default_factory=RecurrentTextConfig)


@dataclass(frozen=True, kw_only=True)
class Plain(Config):
    arch: Literal["dcgan", "cgan"] = "dcgan"
    size: int = 3


@dataclass(frozen=True, kw_only=True)
class Paired(Config):
    arch: Literal["pix2pix"] = "pix2pix"
    patch: int = 70


@dataclass(frozen=True, kw_only=True)
class Either(Config):
    network: Plain | Paired


def test_one_of_several_configurations_is_known_by_its_tag() -> None:
    for network in (Plain(arch="cgan", size=5), Paired(patch=16)):
        assert through_json(Either(network=network)) == Either(network=network)


@pytest.mark.parametrize("arch", ["lapgan", None, 3, [], {}])
def test_an_unknown_tag_is_refused_with_those_that_there_are(arch: object) -> None:
    with pytest.raises(ConfigError, match=r"^file\.json\.network\.arch is .*, not one of 'dcgan', 'cgan', 'pix2pix'$"):
        read(Either, network={"arch": arch})
    with pytest.raises(ConfigError, match="unknown field 'patch'"):
        read(Either, network={"arch": "cgan", "patch": 3})
