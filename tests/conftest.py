"""Tests that run beside each other (`pytest -n auto`) share the processor: one thread for each of them."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
