from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqgen.errors import DataError
from seqgen.metrics.image_statistics import ImageStatistics, is_statistics, read_statistics

MEAN, COVARIANCE = np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    path.write_bytes(ImageStatistics(MEAN, COVARIANCE, "digits-features@0123abcd", 500).to_bytes())
    found = read_statistics(path)
    assert (found.mean.tolist(), found.covariance.tolist()) == (MEAN.tolist(), COVARIANCE.tolist())
    assert (found.features, found.images) == ("digits-features@0123abcd", 500)


def test_pytorch_fid_can_read_it(tmp_path: Path) -> None:
    """It opens the file with numpy and takes these two keys."""
    path = tmp_path / "real.npz"
    path.write_bytes(ImageStatistics(MEAN, COVARIANCE).to_bytes())
    with np.load(path) as file:
        assert np.array_equal(file["mu"][:], MEAN)
        assert np.array_equal(file["sigma"][:], COVARIANCE)


def test_a_file_of_pytorch_fid_is_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    np.savez_compressed(path, mu=MEAN, sigma=COVARIANCE)
    found = read_statistics(path)
    assert found.mean.tolist() == MEAN.tolist()
    assert (found.features, found.images) == ("", 0)


def test_statistics_are_told_from_images(tmp_path: Path) -> None:
    statistics, images, other = (tmp_path / f"{name}.npz" for name in ("statistics", "images", "other"))
    np.savez(statistics, mu=MEAN, sigma=COVARIANCE)
    np.savez(images, images=np.zeros((2, 4, 4), np.uint8))
    other.write_bytes(b"no archive")
    found = [is_statistics(path) for path in (statistics, images, other, tmp_path, tmp_path / "none.npz")]
    assert found == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("mean", "covariance", "said"),
    [
        (np.zeros(3), COVARIANCE, "shape"),
        (np.zeros((2, 1)), COVARIANCE, "shape"),
        (MEAN, COVARIANCE * np.nan, "not finite"),
        (MEAN, np.array([[1.0, 2.0], [0.0, 1.0]]), "not symmetric"),
        (np.array(["a", "b"]), COVARIANCE, "can be read"),
        (np.array([None, None]), COVARIANCE, "can be read"),  # a pickle, which is not loaded
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, mean: object, covariance: object, said: str) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, mu=np.asarray(mean), sigma=np.asarray(covariance))
    with pytest.raises(DataError, match=said):
        read_statistics(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.npz"
    path.write_bytes(ImageStatistics(MEAN, COVARIANCE).to_bytes()[:-30])
    with pytest.raises(DataError, match="can be read"):
        read_statistics(path)
