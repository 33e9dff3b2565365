"""Reading model directories, and trusting nothing: hashes, sizes, shapes and values are checked before use."""

from __future__ import annotations

import hashlib
import json
import math
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen import names
from seqgen.errors import ModelError
from seqgen.modeldir.layout import CONFIG, FORMAT, MANIFEST, MAX_JSON_BYTES, TOKENIZERS, WEIGHTS, ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

MAX_VOCAB = 2**21
FLOATS = ("F16", "BF16", "F32", "F64")
LISTED = (CONFIG, WEIGHTS, *TOKENIZERS)
"""What the manifest must list where it exists."""

# Values of a file as a message quotes them: whoever wrote the file decides how long they are.
SHORT = reprlib.Repr()
SHORT.maxstring = 100


def verify(directory: Path) -> None:
    """Compare every file with the manifest.

    Raises:
        ModelError: a file is missing, or its size or hash differs.
    """
    manifest = read_json(directory / MANIFEST)
    files = manifest.get("files")
    if manifest.get("format") != FORMAT:
        found = manifest.get("format")
        raise ModelError(
            f"{directory}: the manifest has format {SHORT.repr(found)}, this seqgen reads {FORMAT}",
            hint="upgrade seqgen" if isinstance(found, int) and found > FORMAT else "",
        )
    if not isinstance(files, dict) or not files:
        raise ModelError(f"{directory / MANIFEST} lists no files")
    for name in LISTED:
        if name not in files and (directory / name).exists():
            raise ModelError(f"{directory / MANIFEST} does not list {name}")
    for name, entry in files.items():
        if Path(name).name != name or not isinstance(entry, dict):
            plain = "a plain file name with its size and hash"
            raise ModelError(f"{directory / MANIFEST}: {SHORT.repr(name)} is not {plain}")
        path = directory / name
        if not os.path.isfile(path):  # unlike Path.is_file, false for a name that no file can have
            raise ModelError(f"{path} is missing")
        size = path.stat().st_size
        if size != entry.get("size"):
            short = isinstance(entry.get("size"), int) and size < entry["size"]
            raise ModelError(f"{path} is {'truncated' if short else 'not the file of the manifest'}: {size} bytes")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry.get("sha256"):
                raise ModelError(f"{path} is damaged: its sha256 is not the one in the manifest")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size.

    Raises:
        ModelError: it is missing, too large, not JSON or not an object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_JSON_BYTES:
        raise ModelError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB")
    try:
        value = json.loads(content.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not JSON") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object")
    return value


def read_config(directory: Path) -> ModelConfig:
    """`config.json` of a model directory, its outer fields checked.

    Raises:
        ModelError: the file is damaged or was written by a newer seqgen.
    """
    path = directory / CONFIG
    data = read_json(path)
    if data.get("format") != FORMAT:
        found = SHORT.repr(data.get("format"))
        raise ModelError(f"{path} has format {found}, this seqgen reads {FORMAT}", hint="upgrade seqgen")
    kinds = {"task": str, "architecture": str, "network": dict}
    for name, kind in kinds.items():
        if type(data.get(name)) is not kind:
            raise ModelError(f"{path}: {name} is {SHORT.repr(data.get(name))}, not of type {kind.__name__}")
        if kind is str and (why := names.fault(data[name])):
            raise ModelError(f"{path}: {name} {why}")
    sizes = {name: data[name] for name in ("vocab_size", "source_vocab_size") if name in data}
    for name, size in sizes.items():
        if type(size) is not int or not 1 <= size <= MAX_VOCAB:
            raise ModelError(f"{path}: {name} is {SHORT.repr(size)}, out of range")
    return ModelConfig(**{name: data[name] for name in kinds}, **sizes)


def read_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> dict[str, Tensor]:
    """Tensors of a safetensors file, compared with what the network expects before any is read.

    Args:
        path (Path): the file.
        shapes (Mapping[str, tuple[int, ...]] | None): shape by name, or None to accept any.

    Raises:
        ModelError: the file is damaged, its names or shapes are others, or a value is not finite.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            if shapes is not None:
                found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
                _compare_shapes(path, found, shapes)
                for name in found:
                    if (dtype := file.get_slice(name).get_dtype()) not in FLOATS:
                        raise ModelError(f"{path}: {name} is of type {dtype}, not one of {', '.join(FLOATS)}")
            for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
                tensors[name] = file.get_tensor(name).clone()
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error})") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: {name} holds values that are not finite")
    return tensors


def count_parameters(path: Path) -> int:
    """How many values a safetensors file holds, from its header alone.

    Raises:
        ModelError: the header is damaged.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, MAX_JSON_BYTES)))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{path} is not a whole safetensors file") from None


def _compare_shapes(path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    for name in wanted.keys() | found.keys():
        if name not in found:
            raise ModelError(f"{path} has no tensor {name!r}, which its config.json asks for")
        if name not in wanted:
            raise ModelError(f"{path} has a tensor {SHORT.repr(name)}, which its config.json does not know")
        if found[name] != wanted[name]:
            raise ModelError(f"{path}: {name} has shape {found[name]}, config.json asks for {wanted[name]}")
