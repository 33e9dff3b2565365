"""`seqgen train-lm`: a language model from text files."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgen.cli import options
from seqgen.cli.output import Terminal
from seqgen.cli.settings import command_line, replace, settle
from seqgen.config import Cell, LanguageModelSettings, Tokens, to_json
from seqgen.errors import Interrupted, ModelError, UsageError

if TYPE_CHECKING:
    from seqgen.data.corpus import Corpus
    from seqgen.nets.recurrent import RecurrentNetwork
    from seqgen.train.checkpoint import CheckpointStore
    from seqgen.train.log import MetricsLog
    from seqgen.train.loop import Progress
    from seqgen.train.runtime import StopRequest

COMMAND = "train-lm"
DEFAULTS = LanguageModelSettings()
TEXT, NETWORK, TRAIN = DEFAULTS.text, DEFAULTS.network, DEFAULTS.train


def train_lm(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATA", help="UTF-8 text files, folders of them, or - for stdin."),
    ] = None,
    valid: Annotated[
        str, typer.Option(help="Validate on the tail (a fraction) or on a file.", rich_help_panel=options.DATA)
    ] = TEXT.valid,
    tokens: Annotated[Tokens, typer.Option(help="What a token is.", rich_help_panel=options.DATA)] = TEXT.tokens,
    vocab_size: Annotated[
        int, typer.Option(help="Sentencepiece pieces.", rich_help_panel=options.DATA)
    ] = TEXT.vocab_size,
    bptt: Annotated[
        int, typer.Option(help="Tokens the gradient flows back through.", rich_help_panel=options.DATA)
    ] = TEXT.bptt,
    cell: Annotated[Cell, typer.Option(help="The recurrent cell.", rich_help_panel=options.MODEL)] = NETWORK.cell,
    embed_size: Annotated[
        int, typer.Option(help="Size of a token's vector.", rich_help_panel=options.MODEL)
    ] = NETWORK.embed_size,
    hidden_size: Annotated[
        int, typer.Option(help="Size of the state of a layer.", rich_help_panel=options.MODEL)
    ] = NETWORK.hidden_size,
    num_layers: Annotated[
        int, typer.Option("--layers", help="Recurrent layers.", rich_help_panel=options.MODEL)
    ] = NETWORK.num_layers,
    dropout: Annotated[
        float, typer.Option(help="Share of values dropped after each layer.", rich_help_panel=options.MODEL)
    ] = NETWORK.dropout,
    steps: options.Steps = TRAIN.steps,
    epochs: options.Epochs = TRAIN.epochs,
    minutes: options.Minutes = TRAIN.minutes,
    batch_size: options.BatchSize = TRAIN.batch_size,
    grad_accumulation: options.GradAccumulation = TRAIN.grad_accumulation,
    lr: options.LearningRate = TRAIN.lr,
    schedule: options.ScheduleOption = TRAIN.schedule,
    warmup_steps: options.Warmup = TRAIN.warmup_steps,
    weight_decay: options.WeightDecay = TRAIN.weight_decay,
    clip: options.Clip = TRAIN.clip,
    ema: options.Ema = TRAIN.ema,
    eval_every: options.EvalEvery = TRAIN.eval_every,
    patience: options.Patience = TRAIN.patience,
    seed: options.TrainingSeed = TRAIN.seed,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    config: options.Config = None,
    save_every: options.SaveEvery = TRAIN.save_every,
    log_every: options.LogEvery = TRAIN.log_every,
    weights: options.WeightsOption = TRAIN.weights,
    tensorboard: options.TensorBoard = False,
    precision: options.PrecisionOption = TRAIN.precision,
    device: options.Device = TRAIN.device,
    threads: options.Threads = TRAIN.threads,
    processes: options.Processes = 1,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a language model on text, watch it learn, and keep the best.

    Ctrl-C saves and stops; --resume goes on bit for bit. Without a bound it trains for ten minutes.

    ```sh
    seqgen train-lm data.txt
    seqgen train-lm data.txt --cell gru --hidden-size 128 --minutes 3 --out m
    cat *.txt | seqgen train-lm - --tokens sentencepiece --out m
    ```
    """
    if processes > 1 and "LOCAL_RANK" not in os.environ:
        from seqgen.train.distributed import launch

        launch(processes, sys.argv[1:])
    terminal = Terminal(quiet=quiet or os.environ.get("RANK", "0") != "0", verbose=verbose)
    if not (paths or resume or config):
        raise UsageError("no text to train on", hint="seqgen train-lm FILE..., or - to read standard input")
    if resume and not (paths or out):
        raise UsageError("which run? --resume without DATA needs --out", hint=_resume_command(Path("DIRECTORY")))
    chosen = options.given(ctx)
    resumed = (out or _default_directory(replace(DEFAULTS, chosen))) if resume else None
    settings = settle(COMMAND, DEFAULTS, chosen, resumed=resumed, config=config, note=terminal.note)
    if not resume and "-" in settings.text.paths and sys.stdin is not None and sys.stdin.isatty():
        terminal.note("reading text from the terminal; end it with Ctrl-D")
    directory = resumed or out or _default_directory(settings)
    _run(settings, directory, terminal, resume=resume, overwrite=overwrite, tensorboard=tensorboard)


def _default_directory(settings: LanguageModelSettings) -> Path:
    first = settings.text.paths[0]
    name = "stdin" if first == "-" else Path(first).resolve().stem
    return Path("models") / f"{name}-{settings.network.cell}"


def _run(
    settings: LanguageModelSettings,
    directory: Path,
    terminal: Terminal,
    *,
    resume: bool,
    overwrite: bool,
    tensorboard: bool,
) -> None:
    from seqgen import modeldir
    from seqgen.cli.display import display
    from seqgen.data.corpus import build_corpus
    from seqgen.tasks import language_model
    from seqgen.train import distributed, run, runtime
    from seqgen.train.checkpoint import CheckpointStore
    from seqgen.train.log import Listener, MetricsLog, TensorBoardLog
    from seqgen.train.loop import Trainer

    device = runtime.choose_device(settings.train.device)
    threads = runtime.set_threads(settings.train.threads)
    precision = runtime.choose_precision(settings.train.precision, device)
    settings = dataclasses.replace(settings, train=dataclasses.replace(settings.train, precision=precision))

    def prepare(folder: Path) -> Corpus:
        return build_corpus(settings.text, folder, terminal.warn)

    with ExitStack() as held:
        group = held.enter_context(distributed.join(device))
        if group.first:
            held.enter_context(run.claim(directory, resume=resume, overwrite=overwrite, note=terminal.note))
            described = modeldir.json_bytes({"command": COMMAND, "settings": to_json(settings)})
            if resume:
                modeldir.write_file(directory / run.SETTINGS, described)
            else:
                run.begin(directory, described, prepare)
        group.wait()
        corpus = prepare(directory / run.DATA)
        stop = held.enter_context(runtime.StopRequest(terminal.note))
        network = language_model.new_network(settings.network, corpus.tokenizer, settings.train.seed)
        network.to(group.device)
        store = CheckpointStore(directory, language_model.model_files(network, corpus.tokenizer))
        checkpoint = store.newest(terminal.warn) if resume else None
        if resume:
            found = f"from step {checkpoint.state['step']}" if checkpoint else "from the start: nothing was saved"
            terminal.note(f"going on {found}")
        _describe(terminal, corpus, network, f"{group.device}, {threads} threads, {precision}", directory)
        task = language_model.LanguageModelTask(
            network,
            corpus,
            settings.text,
            batch_size=settings.train.batch_size,
            seed=settings.train.seed,
            share=group.share,
        )
        log = None
        listeners: list[Listener] = []
        if group.first:
            size = int(checkpoint.state["log_size"]) if checkpoint else 0
            path, every = directory / run.METRICS, settings.train.log_every
            log = held.enter_context(closing(MetricsLog(path, every=every, size=size)))
            if tensorboard:
                listeners.append(held.enter_context(closing(TensorBoardLog(directory / "tensorboard"))))
        with display(terminal) as shown:
            trainer = Trainer(
                task,
                settings.train,
                store,
                log,
                listeners=[*listeners, *shown],
                stop=stop,
                group=group,
                resume_command=_resume_command(directory),
            )
            if checkpoint:
                trainer.restore(checkpoint)
            progress = trainer.run()
        if log is not None:
            _finish(settings, directory, corpus, network, store, log, progress, stop, terminal)


def _resume_command(directory: Path) -> str:
    return shlex.join(["seqgen", COMMAND, "--resume", "--out", str(directory)])


def _describe(terminal: Terminal, corpus: Corpus, network: RecurrentNetwork, machine: str, directory: Path) -> None:
    parameters = sum(p.numel() for p in network.parameters())
    held = len(corpus.valid) if corpus.valid else 0
    terminal.note(
        f"{len(corpus.train):,} tokens to train on, {held:,} to validate on, {network.vocab_size} different; "
        f"{parameters:,} parameters; {directory}"
    )
    terminal.detail(f"{machine}; {network.operations_per_token / 1e6:.2f} MFLOP per token forward; {network.config}")


def _finish(
    settings: LanguageModelSettings,
    directory: Path,
    corpus: Corpus,
    network: RecurrentNetwork,
    store: CheckpointStore,
    log: MetricsLog,
    progress: Progress,
    stop: StopRequest,
    terminal: Terminal,
) -> None:
    """Judge the best weights with one exact pass, and turn the run directory into a model directory."""
    import torch

    from seqgen.tasks import language_model
    from seqgen.tasks.card import language_model_card
    from seqgen.train import run

    step = progress.best_step if progress.best_step is not None else progress.step
    try:
        weights = store.weights(step)
    except ModelError as error:
        terminal.warn(f"{error.message}; publishing the last weights instead of the best")
        step = progress.step
        weights = store.weights(step)
    if settings.train.weights == "fp16":
        weights = {name: value.half() for name, value in weights.items()}
    network.load_state_dict(weights)  # rounded where they are published so: it is these that are judged
    measures = None
    if corpus.valid is not None:
        terminal.note("judging the best weights: one sequential pass over the validation part")
        counts = language_model.char_counts(corpus.tokenizer)
        measures = language_model.evaluate(network.eval(), corpus.valid, counts, stop=stop)
        if measures is None:
            raise Interrupted(
                "stopped before the model was written; the training is done and saved",
                hint=f"finish with: {_resume_command(directory)}",
                exit_code=stop.exit_code,
            )
        log.evaluated({"step": step, **{f"valid_{k}": v for k, v in measures.items()}, "sequential": True}, best=True)
    log.flush()
    card = language_model_card(
        settings,
        name=directory.resolve().name,
        parameters=sum(p.numel() for p in network.parameters()),
        step=step,
        minutes=progress.seconds / 60,
        measures=measures,
        command=command_line(COMMAND, settings, DEFAULTS, settings.text.paths, directory),
        torch_version=torch.__version__,
    )
    run.publish(directory, weights, language_model.model_files(network, corpus.tokenizer), card)
    judged = f"{measures['loss']:.4f} nats, {measures['bits_per_char']:.3f} bits/char" if measures else "not validated"
    terminal.note(f"done: step {step} is the best, {judged}\ntry: seqgen sample -m {shlex.quote(str(directory))}")
