from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
import torch

from seqgen.config import Cell, RecurrentConfig, SamplingConfig, TransformerConfig
from seqgen.data.pieces import SentencePieceTokenizer
from seqgen.data.tokenizers import CharTokenizer, WordTokenizer
from seqgen.data.tokens import UNKNOWN, Tokenizer, vocab_size
from seqgen.errors import NonFiniteError
from seqgen.nets.recurrent.network import RecurrentNetwork
from seqgen.tasks.language import write as writing
from seqgen.tasks.language.model import LanguageNetwork, language_network
from seqgen.tasks.language.write import Writer, stream_seeds

LETTERS = CharTokenizer("\nabcdef")
PLAIN = SamplingConfig()
GREEDY = SamplingConfig(temperature=0.0)


def random_network(cell: Cell = "lstm", vocab: int = 8) -> LanguageNetwork:
    network = language_network(RecurrentConfig(cell=cell, embed_size=4, hidden_size=8, num_layers=2), vocab)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.7 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def chain(tokenizer: Tokenizer, following: Mapping[int, int]) -> RecurrentNetwork:
    """A network made by hand that follows each token with the one that stands in a table.

    The embedding is one-hot, the state is tanh(5) = 0.9999 at the last token, and the output looks up its successor.
    """
    size = vocab_size(tokenizer)
    network = RecurrentNetwork(RecurrentConfig(cell="rnn", embed_size=size, hidden_size=size, num_layers=1), size)
    for parameter in network.parameters():
        parameter.data.zero_()
    network.embedding.weight.data = 5.0 * torch.eye(size)
    network.get_parameter("layers.0.weight_ih_l0").data.copy_(torch.eye(size))
    for token, successor in following.items():
        network.output_matrix.data[successor, token] = 50.0
    return network.eval()


def spelling(tokenizer: CharTokenizer, cycle: str) -> RecurrentNetwork:
    ids = tokenizer.encode(cycle).tolist()
    return chain(tokenizer, dict(zip(ids, ids[1:] + ids[:1], strict=True)))


def texts(writer: Writer, prompt: str, length: int, seeds: Sequence[int]) -> list[str]:
    written = [""] * len(seeds)
    for index, text in writer.write(prompt, length=length, seeds=seeds):
        written[index] += text
    return written


@pytest.mark.parametrize("cell", get_args(Cell))
@pytest.mark.parametrize("sampling", [PLAIN, GREEDY, SamplingConfig(top_k=2), SamplingConfig(top_p=0.5)])
def test_a_network_that_overflows_writes_nothing(cell: Cell, sampling: SamplingConfig) -> None:
    network = random_network(cell)
    for parameter in network.parameters():
        parameter.data *= 100.0  # the units are driven to their ends
    network.output_matrix.data.sign_().mul_(3e38)  # finite, as a weights file has to be
    with pytest.raises(NonFiniteError, match="not numbers"):
        texts(Writer(network, LETTERS, sampling), "abc", 5, [1, 2])


# Seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", get_args(Cell))
def test_the_same_seed_writes_the_same_text(cell: Cell) -> None:
    writer = Writer(random_network(cell), LETTERS, PLAIN)
    one, same, other = (texts(writer, "ab", 80, stream_seeds(seed, 1)) for seed in (3, 3, 4))
    assert len(one[0]) == 80
    assert one == same
    assert one != other


@pytest.mark.parametrize("cell", get_args(Cell))
def test_a_text_does_not_depend_on_how_many_are_written(cell: Cell) -> None:
    writer = Writer(random_network(cell), LETTERS, PLAIN)
    five = texts(writer, "ab", 60, stream_seeds(3, 5))
    assert texts(writer, "ab", 60, stream_seeds(3, 1)) == five[:1]
    assert texts(writer, "ab", 60, stream_seeds(3, 5)[3:4]) == five[3:4]
    assert len(set(five)) == 5


def test_many_texts_are_written_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(random_network(), LETTERS, PLAIN)
    together = texts(writer, "a", 20, stream_seeds(1, 7))
    monkeypatch.setattr(writing, "STREAMS_AT_ONCE", 3)
    assert texts(writer, "a", 20, stream_seeds(1, 7)) == together
    assert sorted(writer.finished) == list(range(7))


def test_stream_seeds_do_not_depend_on_their_number() -> None:
    assert stream_seeds(9, 5)[:2] == stream_seeds(9, 2)
    assert len(set(stream_seeds(9, 5) + stream_seeds(10, 5))) == 10


# Lengths and stops --------------------------------------------------------------------------------------------


def test_the_prompt_is_continued_and_not_repeated() -> None:
    writer = Writer(spelling(LETTERS, "abcdef"), LETTERS, GREEDY)
    assert texts(writer, "abc", 8, [0]) == ["defabcde"]
    assert (writer.finished[0].tokens, writer.finished[0].stopped_by) == (8, "length")


def test_a_text_of_length_zero_is_empty() -> None:
    writer = Writer(random_network(), LETTERS, PLAIN)
    assert list(writer.write("ab", length=0, seeds=[1, 2])) == []
    assert [(w.tokens, w.log_prob, w.stopped_by) for w in writer.finished.values()] == [(0, 0.0, "length")] * 2


def test_an_empty_prompt_begins_as_after_a_line_feed() -> None:
    writer = Writer(spelling(LETTERS, "\nfed"), LETTERS, GREEDY)
    assert texts(writer, "", 6, [0]) == texts(writer, "\n", 6, [0]) == ["fed\nfe"]


def test_an_empty_prompt_without_line_feeds_begins_as_after_the_first_character() -> None:
    letters = CharTokenizer("xyz")
    assert texts(Writer(spelling(letters, "xyz"), letters, GREEDY), "", 5, [0]) == ["yzxyz"]


WORDS = WordTokenizer(["the", "cat", "finds", "a"], rule="text")
THE_CAT_FINDS = {2: 3, 3: 4, 4: 5, 5: 2, 1: 2}  # the, cat, finds, a, the ...; after a line feed: the


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("the cat", "the cat finds a "),
        ("the cat ", "the cat finds a "),
        ("the cat\t", "the cat\tfinds a "),
        ("the cat\n", "the cat\nthe cat "),
        ("the  cat", "the  cat finds a "),
        ("", "the cat "),
    ],
)
def test_a_word_is_parted_from_the_prompt_by_one_space(prompt: str, wanted: str) -> None:
    writer = Writer(chain(WORDS, THE_CAT_FINDS), WORDS, GREEDY)
    assert [prompt + text for text in texts(writer, prompt, 2, [0, 1])] == [wanted] * 2
    assert texts(writer, prompt, 0, [0]) == [""]


def test_the_space_behind_a_prompt_is_no_stop_string() -> None:
    writer = Writer(chain(WORDS, THE_CAT_FINDS), WORDS, GREEDY, stop=" ")
    assert texts(writer, "the cat", 5, [0]) == [" finds"]


@pytest.mark.parametrize("cell", get_args(Cell))
@pytest.mark.parametrize("prompt", [" ", "\t \u00a0", "\ufeff", "\ufeff "])
def test_a_prompt_without_a_token_is_an_empty_prompt(cell: Cell, prompt: str) -> None:
    writer = Writer(random_network(cell, vocab_size(WORDS)), WORDS, PLAIN)
    assert writer.begin(prompt) == ""
    assert texts(writer, prompt, 5, [3]) == texts(writer, "", 5, [3])


def test_a_prompt_without_a_token_is_an_empty_prompt_for_a_transformer() -> None:
    config = TransformerConfig(embed_size=8, num_layers=1, num_heads=2, context=8)
    torch.manual_seed(0)
    network = language_network(config, vocab_size(WORDS))
    network.initialise()
    writer = Writer(network.eval(), WORDS, PLAIN)
    assert texts(writer, " ", 20, [3]) == texts(writer, "", 20, [3])


@pytest.mark.parametrize("config", [PLAIN, GREEDY, SamplingConfig(temperature=0.3, top_p=0.9)])
def test_the_unknown_token_is_written_only_if_the_training_text_had_it(config: SamplingConfig) -> None:
    network = chain(LETTERS, dict.fromkeys(range(8), LETTERS.unk_id))
    assert UNKNOWN not in texts(Writer(network, LETTERS, config), "a", 200, [1])[0]
    trained = CharTokenizer("\nabcdef", unknown_in_training=True)
    assert texts(Writer(network, trained, config), "a", 5, [1]) == [UNKNOWN * 5]


def test_an_empty_prompt_works_when_only_the_unknown_token_exists() -> None:
    nothing = CharTokenizer("")
    assert texts(Writer(chain(nothing, {0: 0}), nothing, GREEDY), "", 2, [0]) == ["\ufffd\ufffd"]


@pytest.mark.parametrize("stop", ["d", "de", "def"])
def test_a_text_ends_before_the_stop_string(stop: str) -> None:
    writer = Writer(spelling(LETTERS, "abcdef"), LETTERS, GREEDY, stop)
    assert texts(writer, "a", 50, [0]) == ["bc"]
    assert writer.finished[0].stopped_by == "stop"
    # The tokens of the string were drawn too: b, c, and the string.
    assert writer.finished[0].tokens == 2 + len(stop)


def test_a_stop_string_that_does_not_appear_changes_nothing() -> None:
    writer = Writer(spelling(LETTERS, "abcdef"), LETTERS, GREEDY, "fb")
    # At the end "f" is held back until the text is over.
    assert texts(writer, "a", 5, [0]) == ["bcdef"]
    assert writer.finished[0].stopped_by == "length"


def test_a_stop_string_does_not_reach_into_the_prompt() -> None:
    writer = Writer(spelling(LETTERS, "abcdef"), LETTERS, GREEDY, "ab")
    assert texts(writer, "a", 7, [0]) == ["bcdef"]


def test_texts_that_stop_early_leave_the_others_as_they_were() -> None:
    free = texts(Writer(random_network(), LETTERS, PLAIN), "ab", 60, stream_seeds(3, 9))
    writer = Writer(random_network(), LETTERS, PLAIN, "aa")
    stopped = texts(writer, "ab", 60, stream_seeds(3, 9))
    assert stopped == [text.split("aa")[0] for text in free]
    ends = [writer.finished[i].stopped_by for i in range(9)]
    assert ends == ["stop" if "aa" in text else "length" for text in free]
    assert ends.count("stop") > 0
    assert len({len(text) for text in stopped}) > 2


# Figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [PLAIN, GREEDY, SamplingConfig(temperature=0.5, top_k=3, top_p=0.9)])
def test_the_log_probability_is_that_of_a_separate_pass(sampling: SamplingConfig) -> None:
    network, prompt = random_network(), "abc"
    writer = Writer(network, LETTERS, sampling)
    written = texts(writer, prompt, 50, stream_seeds(0, 3))
    for index, text in enumerate(written):
        tokens = torch.from_numpy(LETTERS.encode(prompt + text))[None]
        with torch.inference_mode():
            logits, _ = network(tokens[:, :-1], network.initial_state(1))
        chosen = logits.log_softmax(dim=-1).gather(-1, tokens[:, 1:, None])[0, len(prompt) - 1 :]
        assert writer.finished[index].log_prob == pytest.approx(chosen.sum().item(), abs=1e-3)
        assert writer.finished[index].tokens == 50


# Pieces of characters -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pieces() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train((f"plain words and {letter}\n" for letter in "abcdefgh" * 9), 275)


def test_characters_that_take_several_tokens_come_out_whole(pieces: SentencePieceTokenizer) -> None:
    ids = pieces.encode("é€😀").tolist()
    assert len(ids) > 3  # the characters were never seen, so they are spelled in bytes
    assert len(set(ids)) == len(ids)
    writer = Writer(chain(pieces, dict(zip(ids, ids[1:] + ids[:1], strict=True))), pieces, GREEDY)
    parts = [text for _, text in writer.write("😀", length=2 * len(ids), seeds=[0])]
    assert parts == ["é", "€", "😀"] * 2


def test_a_character_cut_by_the_length_becomes_the_replacement_character(pieces: SentencePieceTokenizer) -> None:
    ids = pieces.encode("é€").tolist()
    writer = Writer(chain(pieces, dict(zip(ids, ids[1:] + ids[:1], strict=True))), pieces, GREEDY)
    assert texts(writer, "€", len(ids) - 1, [0]) == ["é\ufffd"]


def test_whatever_a_network_draws_can_be_written_as_utf8(pieces: SentencePieceTokenizer) -> None:
    writer = Writer(random_network(vocab=vocab_size(pieces)), pieces, SamplingConfig(temperature=5.0))
    for text in texts(writer, "plain", 300, stream_seeds(0, 3)):
        assert text.encode().decode() == text
        assert "\ufffd" in text  # random bytes hardly ever spell a character
