from __future__ import annotations

import pytest
from translation_models import corpus_of, model_of, some_pairs

from seqgen.config import SearchConfig
from seqgen.tasks.targets import Method
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.search_errors import TOLERANCE, compare_searches
from seqgen.tasks.translation.translate import Translation, Translator

PAIRS = [*some_pairs(6, seed=3), ("", "")]
SEARCH = SearchConfig(beam_size=2, max_nodes=3000, max_seconds=0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TranslationModel:
    """Its best output is nearly nothing: such a model is proved in a few nodes."""
    made = model_of(corpus_of(tmp_path_factory.mktemp("corpus")), scale=2.5)
    made.network.output_bias[made.target_tokenizer.eos_id] += 4.0
    return made


def translations(model: TranslationModel, method: Method, search: SearchConfig) -> list[Translation]:
    return list(Translator([model], method, search).stream(source for source, _ in PAIRS))


def test_the_table_is_what_the_searches_find(model: TranslationModel) -> None:
    advanced: list[int] = []
    rows = compare_searches(model, PAIRS, SEARCH, advanced.append)
    assert [row.search for row in rows] == ["greedy", "beam 2", "beam 4", "exhaustive"]
    assert sum(advanced) == len(PAIRS)
    best = translations(model, "exhaustive", SEARCH)
    proved = [i for i, t in enumerate(best) if t.found.proof is not None and t.found.proof.optimal]
    assert len(proved) >= 3
    wide = SearchConfig(beam_size=4, max_nodes=3000, max_seconds=0.0)
    kinds: list[tuple[Method, SearchConfig]] = [("greedy", SEARCH), ("beam", SEARCH), ("beam", wide)]
    for row, (method, search) in zip(rows, kinds, strict=False):
        found = translations(model, method, search)
        worse = [
            i
            for i in proved
            if found[i].outputs[0].hypothesis.log_prob < best[i].outputs[0].hypothesis.log_prob - TOLERANCE
        ]
        assert row.errors == pytest.approx(len(worse) / len(proved))
        # The empty line has no output; it is no empty output.
        assert row.empty == pytest.approx(sum(not t.outputs[0].hypothesis.token_ids for t in found[:-1]) / 6)
        assert row.log_prob == pytest.approx(sum(t.outputs[0].hypothesis.log_prob for t in found[:-1]) / 6)
    assert rows[-1].errors is None
    assert all(row.proved == pytest.approx(len(proved) / 6) for row in rows)
    assert rows[0].log_prob <= rows[-1].log_prob + 1e-6
    assert all(row.seconds > 0 for row in rows)


def test_a_better_search_never_errs_more_on_what_is_proved(model: TranslationModel) -> None:
    rows = compare_searches(model, PAIRS, SEARCH, lambda count: None)
    found = {row.search: row.log_prob for row in rows}
    assert found["exhaustive"] >= max(found.values()) - 1e-6


def test_nothing_proved_is_no_error_and_no_division_by_zero(model: TranslationModel) -> None:
    rows = compare_searches(model, [("", "")], SEARCH, lambda count: None)
    assert [(row.errors, row.empty, row.proved) for row in rows[:3]] == [(0.0, 0.0, 0.0)] * 3


def test_the_longest_output_may_still_be_nothing(model: TranslationModel) -> None:
    references = [(source, "") for source, _ in PAIRS[:2]]
    for row in compare_searches(model, references, SEARCH, lambda count: None):
        assert row.length_ratio >= 0.0
