"""Cells without a fused kernel, run over whole sequences: the backward pass of each is written by hand.

PyTorch has one fast kernel each for the plain network, the LSTM and its own form of the GRU. For the others, autograd
over a loop of single steps would keep a dozen small tensors a step and add up the weights' gradients step by step. Here
the loop does only what has to wait for the step before: one product with the recurrent matrix, and a few operations on
its result while it is still in the cache. The gradients of the weights are computed for all steps at once.

Sequences stand packed, as in `torch.nn.utils.rnn.PackedSequence`: the rows of all that are at their first token, then
those at their second, and so on, the longest sequence first. The state has a row for each sequence, of which step t
moves as many of the first as there are rows at t. The equations are those of `seqgen.nets.recurrent.cells`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqgen.nets.products import Matrix, add_product, product, reordered
from seqgen.nets.recurrent.cells import peep

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class Walk(NamedTuple):
    """The way of a state through packed rows.

    Args:
        sizes (Sequence[int]): rows of each time step.
        backwards (bool): from the last step to the first.
    """

    sizes: Sequence[int]
    backwards: bool = False

    def steps(self, *packed: Tensor) -> list[tuple[Tensor, ...]]:
        """The rows `(rows, size)` of each time step of each of these, in the order in which the state meets them."""
        parts = list(zip(*(torch.split(tensor, list(self.sizes)) for tensor in packed), strict=True))
        return parts[::-1] if self.backwards else parts


class PeepholeSweep(torch.autograd.Function):
    """The peephole LSTM; `apply(x, h, c, weight, peepholes, walk)` gives `(outputs, h, c)`.

    Shapes: `x` is `(rows, 4 * hidden)`; `h` and `c` are `(batch, hidden)`; `weight` is `(4 * hidden, hidden)`;
    `peepholes` is `(3, hidden)`, or `(3, hidden, hidden)` for full matrices, of the gates i, f, o; the outputs are
    `(rows, hidden)`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, weight: Tensor, peepholes: Tensor, walk: Walk
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keeps the gates, the cells and what each step began with."""
        size = h.shape[1]
        matrix = reordered(weight.t().to(x.dtype))
        v_i, v_f, v_o = _gates_see(peepholes.mT if peepholes.dim() == 3 else peepholes, x.dtype)
        low = x.dtype if peepholes.dim() == 3 else c.dtype  # a product runs in the precision of all products
        h, c = h.to(x.dtype, copy=True), c.clone()
        gates, cells = torch.empty(x.shape, dtype=c.dtype, device=x.device), c.new_empty(len(x), size)
        outputs, h_before, c_before = x.new_empty(len(x), size), x.new_empty(len(x), size), torch.empty_like(cells)
        for x_t, a, new, out, h_was, c_was in walk.steps(x, gates, cells, outputs, h_before, c_before):
            h_now, c_now = h[: len(x_t)], c[: len(x_t)]  # sequences that have ended keep their state
            h_was.copy_(h_now)
            c_was.copy_(c_now)
            i, f, g, o = a.copy_(add_product(x_t, h_was, matrix)).chunk(4, dim=1)
            shown = c_was.to(low)
            i.add_(peep(shown, v_i)).sigmoid_()
            f.add_(peep(shown, v_f)).sigmoid_()
            torch.addcmul(f * c_was, i, g.tanh_(), out=new)
            o.add_(peep(new.to(low), v_o)).sigmoid_()
            out.copy_(o * new.tanh())
            h_now.copy_(out)
            c_now.copy_(new)
        ctx.save_for_backward(gates, cells, h_before, c_before, weight, peepholes)
        ctx.walk = walk
        return outputs, h, c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, dh: Tensor, dc: Tensor) -> tuple[Tensor | None, ...]:
        """Down the same steps; `d` is the gradient with regard to, `da` that of the gates before their nonlinearity."""
        gates, cells, h_before, c_before, weight, peepholes = ctx.saved_tensors
        size, dtype = cells.shape[1], h_before.dtype
        matrix = reordered(weight.to(dtype))
        v_i, v_f, v_o = _gates_see(peepholes, dtype)
        low = dtype if peepholes.dim() == 3 else cells.dtype
        dh, dc = dh.to(cells.dtype, copy=True), dc.clone()
        da = torch.empty_like(gates)
        for d_t, a, da_t, new, c_was in reversed(ctx.walk.steps(d_outputs, gates, da, cells, c_before)):
            dh_now, dc_now = dh[: len(d_t)], dc[: len(d_t)]
            i, f, g, o = a.chunk(4, dim=1)
            da_i, da_f, da_g, da_o = da_t.chunk(4, dim=1)
            tanh = new.tanh()
            d_out = dh_now + d_t
            torch.mul(sigmoid_backward(d_out, o), tanh, out=da_o)
            d_cell = tanh_backward(d_out * o, tanh).add_(dc_now).add_(peep(da_o.to(low), v_o))
            torch.mul(sigmoid_backward(d_cell, i), g, out=da_i)
            torch.mul(sigmoid_backward(d_cell, f), c_was, out=da_f)
            torch.mul(tanh_backward(d_cell, g), i, out=da_g)
            torch.mul(d_cell, f, out=dc_now).add_(peep(da_i.to(low), v_i)).add_(peep(da_f.to(low), v_f))
            dh_now.copy_(product(da_t.to(dtype), matrix))
        pairs = ((da[:, :size], c_before), (da[:, size : 2 * size], c_before), (da[:, 3 * size :], cells))
        d_v = torch.stack([(d * c).sum(0) if peepholes.dim() == 2 else d.t() @ c for d, c in pairs])
        da_low = da.to(dtype)
        return da_low, dh, dc, (da_low.t() @ h_before).to(weight.dtype), d_v, None


def _gates_see(peepholes: Tensor, dtype: torch.dtype) -> list[Matrix]:
    """What `peep` takes, for the gates i, f and o."""
    return [reordered(v.to(dtype)) if v.dim() == 2 else v for v in peepholes.unbind()]


class GRUBeforeSweep(torch.autograd.Function):
    """The GRU with its reset gate before the product; `apply(x, h, weight, walk)` gives `(outputs, h)`.

    Shapes: `x` is `(rows, 3 * hidden)`; `h` is `(batch, hidden)`; `weight` is `(3 * hidden, hidden)`; the rest as in
    `PeepholeSweep`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor, walk: Walk) -> tuple[Tensor, Tensor]:
        """Keeps the gates, what each step began with, and what its reset gate let through."""
        size = h.shape[1]
        gate_matrix, candidate_matrix = (
            reordered(part.t().to(x.dtype)) for part in torch.split(weight, [2 * size, size])
        )
        h = h.clone()
        gates = torch.empty(x.shape, dtype=h.dtype, device=x.device)
        outputs, h_before, reset = x.new_empty(len(x), size), h.new_empty(len(x), size), h.new_empty(len(x), size)
        for x_t, a, kept, out, h_was in walk.steps(x, gates, reset, outputs, h_before):
            h_now = h[: len(x_t)]  # sequences that have ended keep their state
            h_was.copy_(h_now)
            rz, n = a[:, : 2 * size], a[:, 2 * size :]
            r, z = rz.copy_(add_product(x_t[:, : 2 * size], h_was.to(x.dtype), gate_matrix)).sigmoid_().chunk(2, dim=1)
            torch.mul(r, h_was, out=kept)
            n.copy_(add_product(x_t[:, 2 * size :], kept.to(x.dtype), candidate_matrix)).tanh_()
            out.copy_(torch.addcmul(h_was, z, n - h_was, out=h_now))
        ctx.save_for_backward(gates, h_before, reset, weight)
        ctx.walk = walk
        return outputs, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, dh: Tensor) -> tuple[Tensor | None, ...]:
        """Down the same steps; `d` is the gradient with regard to, `da` that of the gates before their nonlinearity."""
        gates, h_before, reset, weight = ctx.saved_tensors
        size, dtype = h_before.shape[1], d_outputs.dtype
        gate_matrix, candidate_matrix = (reordered(part.to(dtype)) for part in torch.split(weight, [2 * size, size]))
        dh = dh.clone()
        da = torch.empty_like(gates)
        for d_t, a, da_t, h_was in reversed(ctx.walk.steps(d_outputs, gates, da, h_before)):
            dh_now = dh[: len(d_t)]
            r, z, n = a.chunk(3, dim=1)
            da_r, da_z, da_n = da_t.chunk(3, dim=1)
            d_out = dh_now + d_t
            torch.mul(tanh_backward(d_out, n), z, out=da_n)
            torch.mul(sigmoid_backward(d_out, z), n - h_was, out=da_z)
            d_reset = product(da_n.to(dtype), candidate_matrix)
            torch.mul(sigmoid_backward(d_reset, r), h_was, out=da_r)
            torch.addcmul(d_out - d_out * z, d_reset, r, out=dh_now)
            dh_now.add_(product(da_t[:, : 2 * size].to(dtype), gate_matrix))
        da_low = da.to(dtype)
        d_gates = da_low[:, : 2 * size].t() @ h_before.to(dtype)
        d_candidate = da_low[:, 2 * size :].t() @ reset.to(dtype)
        return da_low, dh, torch.cat((d_gates, d_candidate)).to(weight.dtype), None
