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
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import reprlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen import __version__
from seqgen.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
MANIFEST = "MANIFEST.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
MAX_JSON_BYTES = 16 * 2**20
MAX_VOCAB = 2**21
FLOATS = ("F16", "BF16", "F32", "F64")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "source.model", "target.model")
READ = (CONFIG, WEIGHTS, *TOKENIZERS)


@dataclass(frozen=True)
class ModelConfig:
    """`config.json`: what is needed to build the network before its weights are read.

    Args:
        task (str): what the model does, such as `language-model`.
        architecture (str): which network, such as `recurrent`.
        network (Mapping[str, Any]): the fields of the architecture's dataclass in `seqgen.config`.
        vocab_size (int): how many tokens the tokenizer knows, that of the target where there are two; 0 without one.
        source_vocab_size (int): how many tokens the source's tokenizer knows; 0 without a source.
    """

    task: str
    architecture: str
    network: Mapping[str, Any]
    vocab_size: int = 0
    source_vocab_size: int = 0

    def to_bytes(self) -> bytes:
        """The file as it is written."""
        sizes = {"vocab_size": self.vocab_size, "source_vocab_size": self.source_vocab_size}
        return json_bytes(
            {
                "format": FORMAT,
                "seqgen": __version__,
                "task": self.task,
                "architecture": self.architecture,
                **{name: size for name, size in sizes.items() if size},
                "network": dict(self.network),
            }
        )


def json_bytes(value: object) -> bytes:
    """JSON for people: indented, UTF-8 (file names that are not keep their bytes), one final newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="surrogateescape")


# Writing ------------------------------------------------------------------------------------------------------


def write_file(path: Path, content: bytes) -> None:
    """Replace one file so that a kill at any moment leaves the old one or the new one, never a part."""
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        _write_synced(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Make a new model directory in one indivisible move.

    Args:
        target (Path): must not exist yet.
        files (Mapping[str, bytes]): contents by name; the manifest is added.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = target.with_name(f".tmp-{target.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for name, content in files.items():
            _write_synced(temporary / name, content)
        _write_synced(temporary / MANIFEST, _manifest(files))
        sync_directory(temporary)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(target.parent)


def publish(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a model into a run's own directory, which already stands.

    The manifest goes first and comes back last. A kill in between leaves a directory without a manifest, which
    `locate` reads as an unfinished run: its newest checkpoint still answers, and `--resume` finishes the job.
    """
    (directory / MANIFEST).unlink(missing_ok=True)
    for name, content in files.items():
        write_file(directory / name, content)
    write_file(directory / MANIFEST, _manifest(files))


def remove_leftovers(directory: Path) -> int:
    """Delete the temporary files of a run that was killed while writing.

    Returns:
        int: how many there were.
    """
    leftovers = list(directory.glob(".tmp-*")) + list(directory.glob("checkpoints/.tmp-*"))
    for path in leftovers:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(leftovers)


def sync_directory(directory: Path) -> None:
    """Make a rename in this directory survive a power cut."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return json_bytes(
        {
            "format": FORMAT,
            "files": {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
                for name, content in sorted(files.items())
            },
        }
    )


def tensors_to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors in the safetensors format."""
    from safetensors.torch import save

    return save(
        {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, dict(metadata) if metadata else None
    )


# Reading ------------------------------------------------------------------------------------------------------


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
            f"{directory}: the manifest has format {found!r}, this seqgen reads {FORMAT}",
            hint="upgrade seqgen" if isinstance(found, int) and found > FORMAT else "",
        )
    if not isinstance(files, dict) or not files:
        raise ModelError(f"{directory / MANIFEST} lists no files")
    for name in READ:
        if name not in files and (directory / name).exists():
            raise ModelError(f"{directory / MANIFEST} does not list {name}")
    for name, entry in files.items():
        if Path(name).name != name or not isinstance(entry, dict):
            raise ModelError(f"{directory / MANIFEST}: {name!r} is not a plain file name with its size and hash")
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
        raise ModelError(f"{path} has format {data.get('format')!r}, this seqgen reads {FORMAT}", hint="upgrade seqgen")
    kinds = {"task": str, "architecture": str, "network": dict}
    for name, kind in kinds.items():
        if type(data.get(name)) is not kind:
            raise ModelError(f"{path}: {name} is {reprlib.repr(data.get(name))}, not of type {kind.__name__}")
    sizes = {name: data[name] for name in ("vocab_size", "source_vocab_size") if name in data}
    for name, size in sizes.items():
        if type(size) is not int or not 1 <= size <= MAX_VOCAB:
            raise ModelError(f"{path}: {name} is {reprlib.repr(size)}, out of range")
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
            raise ModelError(f"{path} has a tensor {name!r}, which its config.json does not know")
        if found[name] != wanted[name]:
            raise ModelError(f"{path}: {name} has shape {found[name]}, config.json asks for {wanted[name]}")


# Finding ------------------------------------------------------------------------------------------------------


def shipped_directory() -> Path | None:
    """The folder of shipped models: inside an installed wheel, beside the package in a checkout."""
    package = Path(__file__).parent
    if (inside := package / "_models").is_dir():
        return inside
    beside = package.parent / "models"
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def find_models() -> Iterable[Path]:
    """Every model below `./models` and every shipped one, each folder once, in order of name."""
    seen: set[Path] = set()
    for parent in (Path("models"), shipped_directory()):
        if parent is None or not parent.is_dir():
            continue
        for path in sorted(parent.iterdir()):
            if path.resolve() not in seen and (path / CONFIG).is_file():
                seen.add(path.resolve())
                yield path


def locate(name: str) -> Path:
    """The directory to load for what a user typed: a path, a model below `./models`, or a shipped name.

    An unfinished run answers with its newest checkpoint that verifies. Never the network.

    Raises:
        ModelError: there is no such model, or nothing in it is whole.
    """
    shipped = shipped_directory()
    places = [Path(name), Path("models") / name, *([shipped / name] if shipped else [])]
    for place in places:
        if os.path.isdir(place):
            return _newest_whole(place)
        if os.path.exists(place):
            raise ModelError(f"{place} is a file, not a model directory")
    known = [path.name for path in find_models()]
    raise ModelError(
        f"no model {name!r} here",
        hint=f"known models: {', '.join(known)}" if known else "train one with seqgen train-lm",
    )


def _newest_whole(directory: Path) -> Path:
    if (directory / MANIFEST).is_file():
        verify(directory)
        return directory
    for checkpoint in checkpoints(directory):
        with contextlib.suppress(ModelError):
            verify(checkpoint)
            return checkpoint
    raise ModelError(
        f"{directory} holds no whole model: no {MANIFEST}, and no checkpoint that verifies",
        hint=f"if its training was cut short: seqgen train-lm --resume --out {directory}",
    )


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    return sorted((directory / "checkpoints").glob("step-*"), reverse=True)
