"""The model directory: the only reader and writer of that format.

    config.json         task, architecture, sizes, seqgen and format version
    model.safetensors   the weights
    tokenizer.json      or tokenizer.model, or source.model and target.model
    training.json       the settings that made it, replayable with `--config`
    metrics.jsonl       every logged step
    README.md           the model card
    MANIFEST.json       sha256 and size of each file above; written last

A directory with a manifest is whole: every writer makes a temporary directory beside the target, syncs it and
renames it, or, for a directory that already stands, takes the manifest away first and puts it back last. A
training run keeps `checkpoints/step-…/`, each of which is a model directory too, so that a run can be sampled
from before it is finished.

Nothing here is trusted: sizes and hashes are compared before a tensor is read, shapes before one is allocated,
and there is no pickle anywhere.

`layout` names the files, `writing`, `reading` and `finding` do what they say. Everybody else says `modeldir.…`.
"""

from seqgen.modeldir.finding import (
    checkpoints,
    find_models,
    locate,
    run_directory,
    shipped_directory,
    step_of,
    training_command,
)
from seqgen.modeldir.layout import (
    CARD,
    CONFIG,
    MANIFEST,
    MAX_JSON_BYTES,
    METRICS,
    SETTINGS,
    TOKENIZERS,
    WEIGHTS,
    ModelConfig,
    json_bytes,
)
from seqgen.modeldir.reading import count_parameters, read_config, read_json, read_tensors, verify
from seqgen.modeldir.writing import (
    publish,
    remove_directory,
    remove_leftovers,
    tensors_to_bytes,
    write_directory,
    write_file,
)

__all__ = [
    "CARD",
    "CONFIG",
    "MANIFEST",
    "MAX_JSON_BYTES",
    "METRICS",
    "SETTINGS",
    "TOKENIZERS",
    "WEIGHTS",
    "ModelConfig",
    "checkpoints",
    "count_parameters",
    "find_models",
    "json_bytes",
    "locate",
    "publish",
    "read_config",
    "read_json",
    "read_tensors",
    "remove_directory",
    "remove_leftovers",
    "run_directory",
    "shipped_directory",
    "step_of",
    "tensors_to_bytes",
    "training_command",
    "verify",
    "write_directory",
    "write_file",
]
