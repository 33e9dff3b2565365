"""What `evaluate` says of a translation model and sentence pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from seqgen.config.evaluation import PairsEvaluation
from seqgen.data.pair_files import read_pairs
from seqgen.data.sides import Keys
from seqgen.data.unseen import Unseen
from seqgen.errors import UsageError
from seqgen.tasks.kind import Evaluated, Request
from seqgen.tasks.opening import leak_of
from seqgen.tasks.translation.judge import judge_lines
from seqgen.tasks.translation.model import TranslationModel
from seqgen.tasks.translation.search_errors import SearchRow, compare_searches
from seqgen.tasks.translation.translate import Translator


def evaluate_pairs(request: Request) -> Evaluated:
    """BLEU, chrF and loss of sentence pairs, or how often searches miss the proven optimum.

    Raises:
        SeqgenError: the model or the pairs cannot be used.
    """
    options: PairsEvaluation = request.options
    pairs = list(read_pairs(tuple(request.paths), Keys(options.source_key, options.target_key)))
    if not pairs:
        raise UsageError(f"{', '.join(request.paths)}: no sentence pairs")
    model, unseen = TranslationModel.load(request.model, request.device), Unseen()
    for pair in pairs:
        unseen.add(model.unseen(*pair))
    if unseen.count:
        request.warn(str(unseen))
    if options.search_errors:
        with request.progress("proving", len(pairs)) as advance:
            rows = compare_searches(model, pairs, options.search, advance)
        return Evaluated({"search_errors": [dataclasses.asdict(row) for row in rows]}, _table(rows, len(pairs)), 12)
    with request.progress("translating", len(pairs)) as advance:
        measures = judge_lines(model, pairs, Translator([model], "beam", options.search), advance)
    if leak := leak_of(model.network.config):
        request.warn(leak)
    return Evaluated(
        {**measures, "unknown": unseen.count},
        f"BLEU        {measures['bleu']:.2f}   {measures['bleu_signature']}\n"
        f"chrF2       {measures['chrf']:.2f}   {measures['chrf_signature']}\n"
        f"loss        {measures['loss']:.4f} nats per token\n"
        f"perplexity  {measures['perplexity']:.4f} per token\n"
        f"sentences   {measures['sentences']}, in {measures['seconds']:.1f} s\n",
        width=12,
    )


def _table(rows: Sequence[SearchRow], pairs: int) -> str:
    lines = ["search      BLEU   length  errors   empty  nats/sentence  seconds"]
    for row in rows:
        errors = f"{row.errors:6.1%}" if row.errors is not None else "     -"
        lines.append(
            f"{row.search:10}  {row.bleu:5.2f}  {row.length_ratio:6.3f}  {errors}  {row.empty:6.1%}"
            f"  {-row.log_prob:13.3f}  {row.seconds:7.1f}"
        )
    lines.append(f"proved optimal: {rows[-1].proved:.1%} of {pairs}; errors are counted among these")
    return "\n".join(lines) + "\n"
