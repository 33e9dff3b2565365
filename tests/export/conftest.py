"""One tokenised corpus for all exports."""

from __future__ import annotations

import pytest
import small_transformers

from seqgen.data.parallel import ParallelCorpus


@pytest.fixture(scope="session")
def numbers_corpus(tmp_path_factory: pytest.TempPathFactory) -> ParallelCorpus:
    return small_transformers.corpus(tmp_path_factory.mktemp("numbers"))
