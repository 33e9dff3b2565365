"""Sampling: characters per second with the same weights, one token at a time."""

from __future__ import annotations

import torch
from measuring import Row, Settings, Side, compare, interleaved, seconds
from plain_torch import CELLS, PlainModel, State, use_threads

from seqgen.config import Cell, RecurrentConfig, SamplingConfig
from seqgen.decode.sampling import Sampler
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.stepping.recurrent import RecurrentStep
from seqgen.tasks.language.write import stream_seeds

VOCABULARY = 65
TOKENS = {1: 2000, 64: 400}


def sampling(settings: Settings) -> list[Row]:
    """Both cells, one stream and many."""
    use_threads(settings.threads)
    return [_one(settings, cell, streams) for cell in CELLS for streams in TOKENS]


def _one(settings: Settings, cell: Cell, streams: int) -> Row:
    length = settings.amount(TOKENS[streams])
    network, model = _same_weights(cell)
    sides: dict[str, Side] = {
        "ours": lambda: streams * length / seconds(lambda: _ours(network, streams, length)),
        "peer": lambda: streams * length / seconds(lambda: _peer(model, streams, length)),
    }
    measured = interleaved(sides, settings.repeats)
    name = f"sample {cell}, {streams} stream{'s' * (streams > 1)}"
    return compare(name, measured["ours"], measured["peer"], "characters/s", f"nn.{cell.upper()} loop")


def _same_weights(cell: Cell) -> tuple[RecurrentNetwork, PlainModel]:
    """A network and the peer that computes the same function, which is looked at."""
    torch.manual_seed(0)
    config = RecurrentConfig(cell=cell)
    network = RecurrentNetwork(config, VOCABULARY)
    network.initialise()
    torch.nn.init.xavier_uniform_(network.output_matrix)
    model = PlainModel(config, VOCABULARY)
    model.embedding.load_state_dict(network.embedding.state_dict())
    model.output.load_state_dict(network.output.state_dict())
    layers = {f"{k[:-1]}{i}": v for i, layer in enumerate(network.layers) for k, v in layer.state_dict().items()}
    model.layers.load_state_dict(layers)
    network.eval().requires_grad_(False)
    model.eval().requires_grad_(False)
    tokens = torch.randint(VOCABULARY, (2, 20))
    torch.testing.assert_close(network(tokens, network.initial_state(2))[0], model(tokens, None)[0])
    return network, model


def _ours(network: RecurrentNetwork, streams: int, length: int) -> list[list[int]]:
    step = RecurrentStep(network)
    log_probs, state = step.start(torch.zeros(streams, 1, dtype=torch.long))
    sampler = Sampler(step, log_probs, state, SamplingConfig(), stream_seeds(0, streams))
    return [sampler.advance()[0].tolist() for _ in range(length)]


@torch.inference_mode()
def _peer(model: PlainModel, streams: int, length: int) -> list[list[int]]:
    tokens, state = torch.zeros(streams, 1, dtype=torch.long), None
    written: list[list[int]] = []
    after: State | None = state
    for _ in range(length):
        logits, after = model(tokens, after)
        tokens = torch.multinomial(torch.softmax(logits[:, -1], dim=-1), 1)
        written.append(tokens.squeeze(1).tolist())
    return written
