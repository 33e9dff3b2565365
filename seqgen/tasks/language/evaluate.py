"""What `evaluate` says of a language model and a text."""

from __future__ import annotations

import tempfile
from pathlib import Path

from seqgen.config.evaluation import TextEvaluation
from seqgen.data.corpus import open_text
from seqgen.tasks.kind import Evaluated, Request
from seqgen.tasks.language.judge import evaluate, evaluate_dynamically, unknown_warning
from seqgen.tasks.language.model import LanguageModel
from seqgen.tasks.opening import leak_of


def evaluate_text(request: Request) -> Evaluated:
    """The loss of a text in one pass, or while the model goes on learning.

    Raises:
        SeqgenError: the model or the text cannot be used.
    """
    options: TextEvaluation = request.options
    model = LanguageModel.load(request.model, request.device)
    with tempfile.TemporaryDirectory() as directory:
        span = open_text(request.paths, model.tokenizer, Path(directory), tail=options.tail, warn=request.warn)
        with request.progress("evaluating", len(span) - 1) as advance:
            measures = (
                evaluate_dynamically(model.network, span, options.dynamic, advance=advance)
                if options.dynamic
                else evaluate(model.network, span, advance=advance)
            )
        unknown = span.count(model.tokenizer.unk_id)
    assert measures is not None  # nothing asks this pass to stop
    if unknown:
        request.warn(unknown_warning(unknown, len(span) - 1))
    if leak := leak_of(model.network.config):
        request.warn(leak)
    return Evaluated(
        measures | {"unknown": unknown},
        f"loss           {measures['loss']:.4f} nats per token\n"
        f"bits per char  {measures['bits_per_char']:.4f}\n"
        f"perplexity     {measures['perplexity']:.4f} per token\n"
        f"tokens         {measures['tokens']:.0f}\n"
        f"characters     {measures['chars']:.0f}\n"
        f"unknown        {unknown} tokens\n",
        width=15,
    )
