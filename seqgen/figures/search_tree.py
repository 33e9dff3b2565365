"""A list of branches as the tree that the pictures show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seqgen.figures.labels import nats, visible

if TYPE_CHECKING:
    from seqgen.decode.hypothesis import Branch


class SearchTree:
    """Who comes from whom, and who won.

    Nodes are places in the list of branches; -1 is the root.

    Args:
        branches (Sequence[Branch]): all that the search considered, parents before their children.
        piece (Callable[[int], str]): a token as it is shown.
        winner (Sequence[int]): the token ids of the best output, without the end symbol.

    Attributes:
        children (list[list[int]]): of every node, best first; those of the root stand last, which is place -1.
        path (list[int]): the winner's nodes, its end symbol last; empty if the search did not consider it.
    """

    def __init__(self, branches: Sequence[Branch], piece: Callable[[int], str], winner: Sequence[int]) -> None:
        self.branches, self._piece = branches, piece
        self.children: list[list[int]] = [[] for _ in range(len(branches) + 1)]
        for node, branch in enumerate(branches):
            self.children[branch.parent].append(node)
        for siblings in self.children:
            siblings.sort(key=lambda node: -branches[node].total)
        self.path = self._find(winner)

    def _find(self, winner: Sequence[int]) -> list[int]:
        path = [-1]
        for token_id in winner:
            path += [node for node in self._kept(path[-1]) if self.branches[node].token_id == token_id][:1]
        path += [node for node in self.children[path[-1]] if self.branches[node].fate == "ended"][:1]
        return path[1:] if len(path) == len(winner) + 2 else []

    def _kept(self, node: int) -> list[int]:
        return [child for child in self.children[node] if self.branches[child].fate == "kept"]

    def token(self, node: int) -> str:
        """The token of a node."""
        return visible(self._piece(self.branches[node].token_id))

    def total(self, node: int) -> str:
        """The log-probability up to and with a node."""
        return nats(self.branches[node].total)
