from __future__ import annotations

import math
from typing import Literal, get_args

import pytest
import torch
from tolerances import rounding
from torch import Tensor

from seqgen.nets.recurrent import attention as attention_module
from seqgen.nets.recurrent.attention import Attention

Kind = Literal["dot", "general", "additive"]
every_kind = pytest.mark.parametrize("kind", get_args(Kind))


def attention_of(kind: Kind, hidden_size: int = 4, attention_size: int = 3) -> Attention:
    attention = Attention(kind, hidden_size, attention_size)
    generator = torch.Generator().manual_seed(2)
    for parameter in attention.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return attention.requires_grad_(False)


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def attend(attention: Attention, queries: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    context, weights = attention(queries, attention.keys(memory), memory, mask)
    return context, weights


def one_score(attention: Attention, q: Tensor, m: Tensor) -> float:
    """The equations, a pair of vectors at a time."""
    match attention.kind:
        case "dot":
            return float(sum(a * b for a, b in zip(q, m, strict=True)))
        case "general":
            return float(q @ (attention.key.weight @ m))
        case _:
            summed = attention.query.weight @ q + attention.key.weight @ m + attention.key.bias
            return float(attention.score.weight[0] @ summed.tanh())


# On paper -----------------------------------------------------------------------------------------------------

# Weights of scores ln 3 and 0 are 3/4 and 1/4: of the memory (1, 0), (0, 1) the context is (3/4, 1/4).
MEMORY = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
EVERYTHING = torch.tensor([[True, True]])


def assert_three_to_one(attention: Attention, query: list[float]) -> None:
    context, weights = attend(attention, torch.tensor([[query]]), MEMORY, EVERYTHING)
    torch.testing.assert_close(weights, torch.tensor([[[0.75, 0.25]]]))
    torch.testing.assert_close(context, torch.tensor([[[0.75, 0.25]]]))


def test_dot_on_paper() -> None:
    # q . m: ln 3 * 1 + 0, and 0.
    assert_three_to_one(attention_of("dot", 2), [math.log(3), 0.0])


def test_general_on_paper() -> None:
    # W swaps the two coordinates of m, so q . W m is q's second coordinate for the first m.
    attention = attention_of("general", 2)
    attention.key.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert_three_to_one(attention, [0.0, math.log(3)])


def test_additive_on_paper() -> None:
    # One unit: W q = q_1 = 0, U m = m_1, b = 0, so tanh gives tanh(1) and tanh(0) = 0; v = ln 3 / tanh 1.
    attention = attention_of("additive", 2, 1)
    attention.query.weight.data = torch.tensor([[1.0, 0.0]])
    attention.key.weight.data, attention.key.bias.data = torch.tensor([[1.0, 0.0]]), torch.zeros(1)
    attention.score.weight.data = torch.tensor([[math.log(3) / math.tanh(1.0)]])
    assert_three_to_one(attention, [0.0, 5.0])


# Against a loop -----------------------------------------------------------------------------------------------


@every_kind
def test_against_a_loop(kind: Kind) -> None:
    attention, queries, memory = attention_of(kind), some(3, 2, 4), some(3, 5, 4, seed=1)
    lengths = [5, 1, 3]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    context, weights = attend(attention, queries, memory, mask)
    assert (context.shape, weights.shape) == ((3, 2, 4), (3, 2, 5))
    for b, length in enumerate(lengths):
        for t in range(2):
            scores = [one_score(attention, queries[b, t], memory[b, i]) for i in range(length)]
            total = sum(map(math.exp, scores))
            expected = torch.tensor([math.exp(s) / total for s in scores])
            torch.testing.assert_close(weights[b, t, :length], expected, rtol=0, atol=rounding(20, scale=4.0))
            blended = sum(w * m for w, m in zip(expected, memory[b], strict=False))
            torch.testing.assert_close(context[b, t], blended, rtol=0, atol=rounding(20, scale=4.0))


@every_kind
def test_weights_sum_to_one_and_are_zero_on_padding(kind: Kind) -> None:
    attention, memory = attention_of(kind), some(3, 5, 4, seed=1)
    mask = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
    weights = attend(attention, 10 * some(3, 2, 4), memory, mask)[1]
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2))
    assert not weights[~mask[:, None].expand_as(weights)].any()
    assert (weights[1, :, 0] == 1.0).all()


@every_kind
def test_what_pads_a_source_changes_nothing(kind: Kind) -> None:
    attention, queries, memory = attention_of(kind), some(1, 2, 4), some(1, 5, 4, seed=1)
    mask = torch.tensor([[True, True, True, False, False]])
    alone = attend(attention, queries, memory[:, :3], mask[:, :3])
    memory[:, 3:] = 1e4
    padded = attend(attention, queries, memory, mask)
    torch.testing.assert_close(padded[0], alone[0])
    torch.testing.assert_close(padded[1][..., :3], alone[1])


@every_kind
def test_the_gradient_is_finite_where_there_is_padding(kind: Kind) -> None:
    attention = attention_of(kind).requires_grad_(True)
    memory = some(2, 4, 4, seed=1).requires_grad_(True)
    mask = torch.arange(4) < torch.tensor([4, 2])[:, None]
    context = attend(attention, some(2, 3, 4), memory, mask)[0]
    context.square().sum().backward()  # type: ignore[no-untyped-call]
    assert memory.grad is not None
    assert memory.grad.isfinite().all()
    assert not memory.grad[1, 2:].any()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in attention.parameters())


# Memory -------------------------------------------------------------------------------------------------------


def gradients(attention: Attention, queries: Tensor, memory: Tensor, mask: Tensor) -> list[Tensor]:
    inputs = [queries.clone().requires_grad_(True), memory.clone().requires_grad_(True), *attention.parameters()]
    context, weights = attend(attention, inputs[0], inputs[1], mask)
    return list(torch.autograd.grad((context.square() + weights.sum()).sum(), inputs))


@pytest.mark.parametrize("at_once", [1, 60, 100])
def test_additive_attention_in_blocks_is_the_same(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A target position takes batch 3 x source 5 x size 3 = 45 values: blocks of one, one and two of 7 positions.
    attention, queries, memory = attention_of("additive").requires_grad_(True), some(3, 7, 4), some(3, 5, 4, seed=1)
    mask = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
    whole = attend(attention, queries, memory, mask), gradients(attention, queries, memory, mask)
    monkeypatch.setattr(attention_module, "MAX_BLOCK", at_once)
    blocks = attend(attention, queries, memory, mask), gradients(attention, queries, memory, mask)
    torch.testing.assert_close(blocks, whole)
    with torch.inference_mode():
        torch.testing.assert_close(attend(attention, queries, memory, mask), whole[0])


def test_the_backward_pass_keeps_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, mask = attention_of("additive").requires_grad_(True), torch.ones(3, 5, dtype=torch.bool)

    def largest_kept() -> int:
        kept = [0]

        def keep(tensor: Tensor) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            attend(attention, some(3, 40, 4), some(3, 5, 4, seed=1), mask)
        return max(kept)

    assert largest_kept() == 3 * 40 * 5 * 3
    monkeypatch.setattr(attention_module, "MAX_BLOCK", 100)
    assert largest_kept() == 3 * 40 * 5


def test_only_what_a_kind_needs_is_a_parameter() -> None:
    counts = {kind: sum(p.numel() for p in attention_of(kind).parameters()) for kind in get_args(Kind)}
    # general: 4 x 4; additive: W and U 3 x 4 each, b 3, v 3.
    assert counts == {"dot": 0, "general": 16, "additive": 30}
