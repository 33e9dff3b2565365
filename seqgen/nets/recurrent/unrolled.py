"""A recurrent network step by step, every state a node of the graph of gradients.

The kernels of `seqgen.nets.recurrent.network` run over a whole chunk and show only its end. To see how a gradient
comes back through time one needs the states on the way. The equations are those of `seqgen.nets.recurrent.cells`,
without dropout; read `seqgen.tasks.gradient_flow` for what is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqgen.config import RecurrentCell
from seqgen.nets.recurrent.cells import GATES, STATE_PARTS, CellWeights
from seqgen.nets.recurrent.encoder import RecurrentEncoder
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.nets.recurrent.token_layers import connected


@dataclass(frozen=True)
class UnrolledLayer:
    """One layer's way through a chunk.

    Args:
        weights (CellWeights): what each step is made of.
        inputs (Tensor): the input's share of every gate, `(time, batch, gates * hidden)`.
        states (list[Tensor]): `(parts, batch, hidden)`: the one given, then that after each token.
    """

    weights: CellWeights
    inputs: Tensor
    states: list[Tensor]


def unroll(network: RecurrentNetwork, tokens: Tensor, state: Tensor) -> tuple[Tensor, list[UnrolledLayer]]:
    """What `network(tokens, state)` computes, and every state on the way.

    A state is one node: h and c are parts of it, and whatever comes later reads them from there. So the gradient with
    regard to it is that with regard to (h, c) as a whole; what c does by way of the h of the same step counts for h.

    Args:
        network (RecurrentNetwork): its dropout is left out.
        tokens (Tensor): token ids `(batch, time)`.
        state (Tensor): `(num_layers, parts, batch, hidden)`; no gradient flows further back than this.

    Returns:
        tuple[Tensor, list[UnrolledLayer]]: logits `(batch, time, vocab)`, and the layers, the lowest first.
    """
    hidden = network.embed(tokens.t())
    layers = []
    for i, (layer, before) in enumerate(zip(network.layers, state.detach().unbind(), strict=True)):
        read = network.norms[i - 1](hidden) if i else hidden
        layers.append(_run(CellWeights.of(network.cell, layer), read, before.clone().requires_grad_()))
        written = torch.stack([after[0] for after in layers[-1].states[1:]])
        hidden = connected(network.config.connections, hidden, written)
    return network.logits(hidden).transpose(0, 1), layers


def unroll_encoder(
    encoder: RecurrentEncoder, cell: RecurrentCell, vectors: Tensor
) -> tuple[Tensor, Tensor, list[UnrolledLayer]]:
    """What an encoder computes of sequences of one length, and every state of its forward direction on the way.

    Args:
        encoder (RecurrentEncoder): its dropout is left out.
        cell (RecurrentCell): of its layers.
        vectors (Tensor): `(batch, time, input)`.

    Returns:
        tuple[Tensor, Tensor, list[UnrolledLayer]]: the outputs `(batch, time, hidden)`, the h at the end, of two
        directions each at its own, `(batch, hidden)`, and the layers, the lowest first.
    """
    hidden, last, layers = vectors.transpose(0, 1), vectors[:, 0], []
    for layer in encoder:
        directions = ["l0", *(["l0_reverse"] if "weight_hh_l0_reverse" in dict(layer.named_parameters()) else [])]
        outputs, ends = [], []
        for direction in directions:
            weights = CellWeights.of(cell, layer, direction)
            size = weights.input_bias.numel() // GATES[cell]
            before = vectors.new_zeros(STATE_PARTS[cell], len(vectors), size).requires_grad_()
            read = hidden if direction == "l0" else hidden.flip(0)
            run = _run(weights, read, before)
            written = torch.stack([after[0] for after in run.states[1:]])
            outputs.append(written if direction == "l0" else written.flip(0))
            ends.append(written[-1])
            if direction == "l0":
                layers.append(run)
        hidden, last = torch.cat(outputs, dim=2), torch.cat(ends, dim=1)
    return hidden.transpose(0, 1), last, layers


def _run(weights: CellWeights, hidden: Tensor, state: Tensor) -> UnrolledLayer:
    """A layer over `(time, batch, input)`: the input's products at once, then one step after the other."""
    inputs = weights.inputs(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1)
    states = [state]
    for x in inputs:
        states.append(step(weights, x, states[-1]))
    return UnrolledLayer(weights, inputs, states)


def step(weights: CellWeights, x: Tensor, state: Tensor) -> Tensor:
    """From a state `(parts, batch, hidden)` to the next."""
    return torch.stack(weights.step(x, state.unbind()))


def step_norms(layer: UnrolledLayer, iterations: int, generator: torch.Generator) -> Tensor:
    """The spectral norm of the Jacobian of a layer's last step, d s(t) / d s(t-1), of every sequence: `(batch,)`.

    It is the most by which one step can stretch a gradient on its way back; if it stays below 1, the gradient must
    vanish (Pascanu et al. 2013, section 2.1). The Jacobian itself, (h, c) by (h, c), is never made: power iteration
    on J^T J needs its products with vectors only. J^T u is what a backward pass computes; it is linear in u, so the
    backward pass of that gives J v.

    Args:
        layer (UnrolledLayer): from `unroll`.
        iterations (int): each brings the estimate, which is never above the norm, closer to it.
        generator (torch.Generator): where the first vectors come from, on the CPU.
    """
    before = layer.states[-2].detach().requires_grad_()
    after = step(layer.weights, layer.inputs[-1].detach(), before)
    u = torch.ones_like(after, requires_grad=True)
    (back,) = torch.autograd.grad(after, before, u, create_graph=True)
    v = torch.randn(before.shape, generator=generator).to(before)
    squared = torch.ones(())
    for _ in range(iterations):
        v = v / _norms(v).clamp_min(torch.finfo(v.dtype).tiny)
        (stretched,) = torch.autograd.grad(back, u, v, retain_graph=True)
        (v,) = torch.autograd.grad(after, before, stretched, retain_graph=True)
        squared = _norms(v)
    return squared.flatten().sqrt()


def _norms(states: Tensor) -> Tensor:
    """The norm of every sequence's whole state, `(1, batch, 1)`."""
    return states.square().sum(dim=(0, 2), keepdim=True).sqrt()
