"""The tree of a beam search for the terminal.

A beam's tree is deep and lean: with one level of indentation per token it would leave any terminal. Here the winner
runs straight down the left edge, as the main line of a version history does, and what leaves it stands to its right.
At every node the child with the most descendants goes on in the same column and only the others are indented, so that
the indentation grows with the logarithm of the tree. Tokens share a line until the path forks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from seqgen.figures.labels import cut, nats, visible
from seqgen.figures.search_tree import SearchTree

if TYPE_CHECKING:
    from seqgen.decode.hypothesis import Branch, Hypothesis

# Wide beams drop many candidates after one node; a long token would hide the others.
_DROPPED_SHOWN = 6
_LONGEST_TOKEN = 24

_WINNER, _WON, _KEPT, _ENDED, _DROPPED = "●", "★", "○", "■", "✗"
_STYLES = {_WINNER: "bold green", _WON: "bold green", _KEPT: "", _ENDED: "bold", _DROPPED: "dim"}
_GUIDE = "dim"


def beam_tree(
    branches: Sequence[Branch], piece: Callable[[int], str], *, best: Hypothesis, title: str
) -> RenderableType:
    """Draw what a beam search considered.

    Args:
        branches (Sequence[Branch]): one sentence's tree, as `beam_search` records it.
        piece (Callable[[int], str]): a token as it is shown.
        best (Hypothesis): the winner.
        title (str): what stands above, such as the source.

    Returns:
        RenderableType: for Rich; without colours the symbols still tell everything.
    """
    return _BeamTree(SearchTree(branches, piece, best.token_ids), best.score, visible(title))


@dataclass
class _Line:
    """What stands on one line, or on several if it is too long.

    Args:
        first (str): the guides to its left.
        rest (str): those of the lines that it is continued on.
        words (list[Text]): each stays whole.
    """

    first: str
    rest: str
    words: list[Text] = field(default_factory=list)

    def wrapped(self, width: int) -> Iterator[Text]:
        """The line, broken between words to fit `width` cells."""
        line, empty = Text(self.first, style=_GUIDE), True
        for word in self.words:
            if not empty and line.cell_len + word.cell_len + 1 > width:
                yield line
                line, empty = Text(self.rest, style=_GUIDE), True
            # The guides' style is that of the whole text and must not reach the words.
            line = Text.assemble(line, "" if empty else " ", word)
            empty = False
        yield line


class _BeamTree:
    def __init__(self, tree: SearchTree, score: float, title: str) -> None:
        self._tree, self._score, self._title = tree, score, title
        self._winner = set(tree.path)
        self._weight = [int(branch.fate != "dropped") for branch in tree.branches]
        for node in range(len(tree.branches) - 1, -1, -1):
            if tree.branches[node].parent >= 0:
                self._weight[tree.branches[node].parent] += self._weight[node]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text(self._title, style="bold")
        yield self._legend()
        if not self._tree.branches:
            yield Text("nothing was considered", style="dim")
        for line in self._lines():
            for text in line.wrapped(options.max_width):
                text.no_wrap, text.overflow = True, "ellipsis"
                yield text

    def _legend(self) -> Text:
        meanings = {
            _WINNER: "on the way to the winner",
            _WON: "winner",
            _KEPT: "kept",
            _ENDED: "ended",
            _DROPPED: "dropped",
        }
        entries = [Text(f"{symbol} {meaning}", style=_STYLES[symbol]) for symbol, meaning in meanings.items()]
        numbers = Text("numbers: log-probability so far, in nats; what was dropped follows its parent", style="dim")
        return Text("\n").join([Text("   ").join(entries), numbers])

    def _lines(self) -> Iterator[_Line]:
        if self._tree.branches:
            symbol = _WINNER if self._winner else _KEPT
            yield _Line("", "│   ", [Text(f"{symbol} start", style=_STYLES[symbol]), *self._dropped(-1)])
            yield from self._below(-1, "")

    def _below(self, node: int, guides: str) -> Iterator[_Line]:
        """All that follows a node: what leaves its line, then the line itself, on to its end."""
        while (heir := self._heir(node)) is not None:
            for child in self._survivors(node):
                if child != heir:
                    yield from self._strand(child, f"{guides}├─", f"{guides}│ ")
            line, node = self._segment(heir, guides, guides)
            yield line

    def _strand(self, node: int, first: str, guides: str) -> Iterator[_Line]:
        line, last = self._segment(node, first, guides)
        yield line
        yield from self._below(last, guides)

    def _segment(self, node: int, first: str, guides: str) -> tuple[_Line, int]:
        """A line that begins with a node and goes on to where the path forks or ends, and the last node on it."""
        words = [self._word(node), *self._dropped(node)]
        # The winner's tokens stand below each other, to be read at a glance.
        while node not in self._winner and len(survivors := self._survivors(node)) == 1:
            node = survivors[0]
            words += [self._word(node), *self._dropped(node)]
        goes_on = self._heir(node) is not None
        return _Line(first, f"{guides}{'│' if goes_on else ' '}   ", words), node

    def _survivors(self, node: int) -> list[int]:
        return [child for child in self._tree.children[node] if self._tree.branches[child].fate != "dropped"]

    def _heir(self, node: int) -> int | None:
        """The child that goes on in the same column."""
        survivors = self._survivors(node)
        return max(survivors, key=lambda child: (child in self._winner, self._weight[child]), default=None)

    def _dropped(self, node: int) -> list[Text]:
        dropped = [child for child in self._tree.children[node] if self._tree.branches[child].fate == "dropped"]
        words = [self._word(child) for child in dropped[:_DROPPED_SHOWN]]
        if (more := len(dropped) - _DROPPED_SHOWN) > 0:
            words.append(Text(f"{_DROPPED} {more} more", style=_STYLES[_DROPPED]))
        return words

    def _word(self, node: int) -> Text:
        symbol = self._symbol(node)
        token = cut(self._tree.token(node), _LONGEST_TOKEN)
        word = Text.assemble((f"{symbol} {token}", _STYLES[symbol]), " ", (self._tree.total(node), "dim"))
        return word.append(f"  score {nats(self._score)}", style=_STYLES[_WON]) if symbol == _WON else word

    def _symbol(self, node: int) -> str:
        fate = self._tree.branches[node].fate
        if node in self._winner:
            return _WON if fate == "ended" else _WINNER
        return {"kept": _KEPT, "ended": _ENDED, "dropped": _DROPPED}[fate]
