"""How `image_scores.json` was made: what pytorch-fid, clean-fid and torch-fidelity say of `drawn_features`.

These packages need torchvision and SciPy, which seqgen does not, so they live in an environment of their own:

    pip install pytorch-fid==0.3.0 clean-fid==0.1.35 torch-fidelity==0.4.0 "scipy<1.18" torchvision
    python tests/metrics/record_image_scores.py > tests/metrics/image_scores.json

Where torchvision was built for another torch than the one beside it, its compiled operators are missing. None of them
is used here, so what would look for them is left out.
"""

from __future__ import annotations

import contextlib
import json
import sys
import types
from importlib.metadata import version
from typing import Any

import numpy as np
from drawn_features import CASES, Case, draw_features

PACKAGES = ("pytorch-fid", "clean-fid", "torch-fidelity", "scipy", "numpy", "torch")


def main() -> None:
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    with contextlib.redirect_stdout(sys.stderr):
        cases = {name: scores(case) for name, case in CASES.items()}
    json.dump({"made_with": {name: version(name) for name in PACKAGES}, "cases": cases}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def scores(case: Case) -> dict[str, float]:
    import torch
    from cleanfid import fid as clean
    from pytorch_fid import fid_score
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    real, fake = draw_features(case)
    one, two = ({"mu": x.mean(axis=0), "sigma": np.cov(x, rowvar=False)} for x in (real, fake))
    four = (one["mu"], one["sigma"], two["mu"], two["sigma"])
    first, second = torch.from_numpy(fake), torch.from_numpy(real)  # torch-fidelity: the generated set comes first
    precision, recall = metric_prc.calculate_precision_recall_full(first, second, neighborhood=3)
    found: dict[str, Any] = {
        "frechet, pytorch-fid": fid_score.calculate_frechet_distance(*four),
        "frechet, clean-fid": clean.frechet_distance(*four),
        "frechet, torch-fidelity": metric_fid.fid_statistics_to_metric(one, two, False)[metric_fid.KEY_METRIC_FID],
        "precision, torch-fidelity": precision,
        "recall, torch-fidelity": recall,
    }
    if case.reals == case.fakes:  # one subset of all images: nothing is left to chance
        subset = {"kid_subsets": 1, "kid_subset_size": case.reals, "verbose": False}
        kid = metric_kid.kid_features_to_metric(first, second, **subset)
        found["kernel, clean-fid"] = clean.kernel_distance(real, fake, num_subsets=1, max_subset_size=case.reals)
        found["kernel, torch-fidelity"] = kid[metric_kid.KEY_METRIC_KID_MEAN]
    return {name: float(value) for name, value in found.items()}


if __name__ == "__main__":
    main()
