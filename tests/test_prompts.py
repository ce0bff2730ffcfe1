"""Prompts: exact text, exact ids, spans that cover the text, who wrote what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from model_utils import prompts
from model_utils.contracts.common import FORMATS, Message, ask
from model_utils.errors import Refused
from model_utils.pair import Pair
from tests import oracles
from tests.strategies import instructions


@pytest.fixture(scope="module")
def tokenizer(tiny_pair: Pair[Path]):
    return AutoTokenizer.from_pretrained(tiny_pair.tuned)


def encode(tokenizer, text: str, format: str):
    return prompts.encode_prompt(tokenizer, ask(text), format, tokenizer.chat_template)


@given(text=instructions, format=st.sampled_from(FORMATS))
def test_spans_cover_the_text_in_order(tokenizer, text: str, format: str):
    encoded = encode(tokenizer, text, format)
    covered = set()
    for begin, end in encoded.spans:
        covered |= set(range(begin, end))
    assert covered == set(range(len(encoded.text)))
    assert (np.diff(encoded.spans[:, 0]) >= 0).all()
    for piece, (begin, end), special in zip(encoded.pieces, encoded.spans, encoded.special, strict=True):
        assert piece == encoded.text[begin:end] or (special and begin == end)


@given(text=instructions, format=st.sampled_from(FORMATS))
def test_the_instruction_is_what_the_person_typed(tokenizer, text: str, format: str):
    encoded = encode(tokenizer, text, format)
    spans = encoded.spans[encoded.positions("instruction")]
    covered = encoded.text[spans[:, 0].min() : spans[:, 1].max()]
    assert text.strip() in covered
    assert text in encoded.text


@given(text=instructions)
def test_chat_ids_are_those_of_the_tokenizers_own_template(tokenizer, text: str):
    """apply_chat_template tokenizes by itself here; a second BOS or a lost space would show."""
    own = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)
    assert encode(tokenizer, text, "chat").ids.tolist() == list(own["input_ids"])


@pytest.mark.parametrize("format", FORMATS)
def test_bos_stands_once(tokenizer, format: str):
    ids = encode(tokenizer, "Name three colours.", format).ids.tolist()
    assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1


def test_few_shot_ends_where_a_token_ends(tokenizer):
    """The answer begins with a token of its own: ids of the prompt are a prefix of the ids of prompt and answer."""
    encoded = encode(tokenizer, "What is the capital of Japan?", "few-shot")
    assert encoded.text.endswith("Instruction: What is the capital of Japan?\nAnswer:")
    whole = prompts.encode_text(tokenizer, encoded.text + " Tokyo", True, (0, 0))
    assert whole.ids[: len(encoded)].tolist() == encoded.ids.tolist()


def test_history_stands_before_the_instruction(tokenizer):
    messages = [Message(content="first"), Message(role="assistant", content="second"), Message(content="third")]
    for format in FORMATS:
        encoded = prompts.encode_prompt(tokenizer, messages, format, tokenizer.chat_template)
        begin = encoded.spans[encoded.positions("instruction")[0], 0]
        assert encoded.text.index("first") < encoded.text.index("second") < begin <= encoded.text.index("third")


def test_typed_control_tokens_are_said(tokenizer):
    assert "control tokens of this model (<|end|>)" in encode(tokenizer, "stop <|end|> here", "chat").notes[0]
    assert encode(tokenizer, "stop here", "chat").notes == ()


def test_doubled_bos_is_said(tokenizer):
    """Feeding text that already has its BOS, with special tokens added, is the usual mistake."""
    doubled = prompts.encode_text(tokenizer, "<|begin|>hello", True, (0, 0))
    assert any("twice" in note for note in doubled.notes)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | length }}",
        "{{ 1 / 0 }}",
        "{{ raise_exception('no') }}",
        "{% if messages[0]['content'] | length > 5 %}long{% endif %}{{ messages[0]['content'] }}{% if messages[0]['content'] | length > 5 %}?{% endif %}",
    ],
)
def test_a_template_that_does_not_fit_is_refused(tokenizer, template: str):
    with pytest.raises(Refused, match="template"):
        prompts.encode_prompt(tokenizer, ask("hi"), "chat", template)


@given(text=instructions, seed=st.integers(0, 99))
def test_detokenizer_equals_its_slow_twin(tokenizer, text: str, seed: int):
    """On ids of awkward text and on random ids, whose bytes are often no characters at all."""
    prompt = encode(tokenizer, "Say this.", "chat")
    for ids in (
        tokenizer(text, add_special_tokens=False)["input_ids"],
        np.random.default_rng(seed).integers(0, len(tokenizer), 40).tolist(),
    ):
        fast = prompts.encode_continuation(tokenizer, prompt, ids)
        slow_text, slow_spans = oracles.detokenized(tokenizer, prompt.ids.tolist(), ids)
        assert fast.text == slow_text
        assert [tuple(span) for span in fast.spans.tolist()] == slow_spans


@given(text=instructions)
def test_a_continuation_says_what_its_ids_say(tokenizer, text: str):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    encoded = prompts.encode_continuation(tokenizer, encode(tokenizer, "Say this.", "chat"), ids)
    assert encoded.text == text
    assert set(encoded.roles.tolist()) <= {2}


def test_bytes_of_one_character_share_its_span(tokenizer):
    encoded = encode(tokenizer, "🎉", "plain")
    place = encoded.text.index("🎉")
    assert encoded.spans.tolist().count([place, place + 1]) == 4


def test_join_keeps_both(tokenizer):
    prompt = encode(tokenizer, "Say 漢字.", "chat")
    answer = prompts.encode_continuation(tokenizer, prompt, tokenizer("漢字 🎉", add_special_tokens=False)["input_ids"])
    whole = prompts.join(prompt, answer)
    assert whole.ids.tolist() == prompt.ids.tolist() + answer.ids.tolist()
    assert whole.text[whole.spans[whole.positions("answer")[0], 0] :] == answer.text
    assert len(whole) == len(prompt) + len(answer)


def test_long_text_is_looked_at_before_anything_is_built_for_it(tokenizer):
    """A prompt of a million characters held up everybody for as long as it took to list its tokens."""

    class Seen(Exception):
        pass

    def look(ids: np.ndarray) -> None:
        assert len(ids) > 100_000
        raise Seen

    with pytest.raises(Seen):
        prompts.encode_prompt(tokenizer, ask("x" * 200_000), "chat", tokenizer.chat_template, (), look)


def test_an_eos_that_the_tokenizer_adds_is_left_off_and_said(tiny_pair: Pair[Path]):
    tokenizer = AutoTokenizer.from_pretrained(tiny_pair.base)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A <|end|>", special_tokens=[("<|begin|>", 0), ("<|end|>", 1)]
    )
    encoded = encode(tokenizer, "hello", "plain")
    assert encoded.pieces[0] == "<|begin|>" and encoded.pieces[-1] != "<|end|>"
    assert "left off" in encoded.notes[0]
    typed = prompts.encode_text(tokenizer, "hello<|end|>", False, (0, 5))
    assert typed.pieces[-1] == "<|end|>", "what the text itself says stays"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a\n\nb", 1),
        ("\n\na", None),
        ("\n\na\n\n", 3),
        ("\n\nInstruction: x", 1),
        ("a\nInstruction: b\n\n", 1),
        ("", None),
    ],
)
def test_end_of_answer(text: str, place: int | None):
    assert prompts.end_of_answer(text, prompts.delimiters("few-shot")) == place


@pytest.fixture(scope="module")
def byte_fallback():
    """A tokenizer of the Llama 2 kind: words with their space in front, unknown characters as bytes, the first space dropped."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdehlo"]
    inner = Tokenizer(
        models.BPE(
            vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@given(text=st.text(st.sampled_from("abcde hlo漢字🎉é"), min_size=1, max_size=40))
def test_detokenizer_equals_its_slow_twin_where_bytes_fall_back(byte_fallback, text: str):
    """A window that began inside a character turned everything after it into question marks."""
    prompt = prompts.encode_text(byte_fallback, "漢字漢字漢字 hello 漢字漢字", True, (0, 0))
    ids = byte_fallback(text, add_special_tokens=False)["input_ids"]
    fast = prompts.encode_continuation(byte_fallback, prompt, ids)
    assert fast.text == oracles.detokenized(byte_fallback, prompt.ids.tolist(), ids)[0]
    assert "\ufffd" not in fast.text and text.strip() in fast.text


# --- templates of one's own, conversations ------------------------------------------------------------------------------

OWN = "### Query\n{instruction}\n\n### Reply\n"
TURNS = (
    Message(role="system", content="Be brief."),
    Message(content="first"),
    Message(role="assistant", content="second"),
    Message(content="third"),
)


def test_exact_texts_of_a_conversation(tokenizer):
    def text(format: str) -> str:
        return prompts.encode_prompt(tokenizer, TURNS, format, tokenizer.chat_template).text

    assert text("plain") == "Be brief.\n\nfirst\n\nsecond\n\nthird"
    assert text(OWN) == "Be brief.\n\n### Query\nfirst\n\n### Reply\nsecond\n\n### Query\nthird\n\n### Reply\n"
    few_shot = text("few-shot")
    assert few_shot.startswith("Be brief.\n\nInstruction: What is the capital of France?\nAnswer: Paris\n\n")
    assert few_shot.endswith("Instruction: first\nAnswer: second\n\nInstruction: third\nAnswer:")


@given(text=instructions)
def test_an_own_template_holds_the_instruction_as_typed(tokenizer, text: str):
    encoded = encode(tokenizer, text, "Q: {instruction}\nA:")
    assert encoded.text == f"Q: {text}\nA:"
    assert tokenizer.bos_token_id == encoded.ids[0], "text around an instruction is text: BOS comes as for any text"


@pytest.mark.parametrize(
    ("format", "ends"),
    [
        ("chat", ()),
        ("plain", ("\n\n",)),
        ("few-shot", ("\n\n", "\nInstruction:")),
        ("Q: {instruction}\nA:", ("\nQ:",)),
        ("{instruction}\n\nAnswer:", ("\n\n",)),
        (OWN, ("\n### Query",)),
        ("Below is a task.\n\n### Instruction:\n{instruction}\n\n### Response:\n", ("\n### Instruction:",)),
        ("- {instruction}\n", ("\n\n",)),
    ],
)
def test_where_answers_end(format: str, ends: tuple[str, ...]):
    """A template with a heading above its instruction ended answers at their first empty line, one of a list at their first list."""
    assert prompts.delimiters(format) == ends


def test_a_chat_template_without_the_begin_token_is_said(tokenizer):
    template = "{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}<|assistant|>"
    encoded = prompts.encode_prompt(tokenizer, ask("hi"), "chat", template)
    assert encoded.notes == (
        "The chat template begins without <|begin|>, which this tokenizer puts in front of plain text; the model may have been trained either way.",
    )


# --- two tokenizers -----------------------------------------------------------------------------------------------------


@given(
    first=st.lists(st.integers(1, 4), max_size=8),
    second=st.lists(st.integers(1, 4), max_size=8),
    seed=st.integers(0, 9),
)
def test_pieces_cover_what_both_cover_and_keep_the_sum(first: list[int], second: list[int], seed: int):
    """Two ways to cut one text of as many characters as the shorter of them, the last token taking what is left."""
    length = min(sum(first), sum(second))

    def spans(sizes: list[int]) -> np.ndarray:
        ends = sorted({*[int(end) for end in np.cumsum(sizes) if end < length], *([length] if length else [])})
        return np.array(list(zip([0, *ends][: len(ends)], ends, strict=True)), dtype=np.int64).reshape(-1, 2)

    one, other = spans(first), spans(second)
    pieces = prompts.shared_pieces(one, other)
    assert [a for a, _ in pieces.tolist()[1:]] == [b for _, b in pieces.tolist()[:-1]], "without gaps"
    common = sorted({b for _, b in one.tolist()} & {b for _, b in other.tolist()})
    assert [b for _, b in pieces.tolist()] == common
    for tokens in (one, other):
        values = np.random.default_rng(seed).normal(size=len(tokens))
        sums = prompts.sum_pieces(tokens, values, pieces)
        assert sums.sum() == pytest.approx(values.sum())
        for (begin, end), found in zip(pieces, sums, strict=True):
            inside = (tokens[:, 0] >= begin) & (tokens[:, 1] <= end)
            assert found == pytest.approx(values[inside].sum())


def test_bytes_of_one_character_are_never_parted():
    emoji, whole = np.array([[0, 1], [1, 2], [1, 2], [1, 2], [2, 3]]), np.array([[0, 2], [2, 3]])
    assert prompts.shared_pieces(emoji, whole).tolist() == [[0, 2], [2, 3]]
    assert prompts.shared_pieces(emoji, emoji).tolist() == [[0, 1], [1, 2], [2, 3]]
    np.testing.assert_allclose(prompts.sum_pieces(emoji, np.arange(5.0), np.array([[0, 2], [2, 3]])), [6, 4])


@given(text=instructions)
def test_another_models_answer_is_read_exactly(tokenizer, text: str):
    prompt = encode(tokenizer, "Say it.", "plain")
    answer = prompts.encode_answer(tokenizer, prompt, text)
    assert answer.text == text and tokenizer.decode(answer.ids) == text


@given(text=st.text(st.sampled_from("abcde hlo漢🎉é"), min_size=1, max_size=20))
def test_an_answer_stands_alone_after_what_an_encoder_read(byte_fallback, text: str):
    """It was cut as it would follow on the encoder's text, which its decoder never sees: ' and' as a word, 'red' as half of one."""
    prompt = prompts.encode_text(byte_fallback, "hello", True, (0, 0), decoder_start=(byte_fallback.bos_token_id,))
    answer = prompts.encode_answer(byte_fallback, prompt, text)
    assert answer.ids.tolist() == byte_fallback(text, add_special_tokens=False)["input_ids"]
    assert answer.text == text and byte_fallback.decode(answer.ids) == text
    covered = {place for begin, end in answer.spans.tolist() for place in range(begin, end)}
    assert covered == set(range(len(text))) and prompts.readable(answer).all()


def test_tokens_that_no_person_reads_are_told(tokenizer):
    ids = tokenizer("hi 🎉<|end|> 🎉", add_special_tokens=False)["input_ids"]
    prompt = encode(tokenizer, "Say it.", "plain")
    whole = prompts.encode_continuation(tokenizer, prompt, ids)
    assert prompts.readable(whole).tolist() == (~whole.special).tolist() and whole.special.sum() == 1
    cut = prompts.encode_continuation(tokenizer, prompt, ids[:-1])
    assert cut.text.endswith(prompts.INCOMPLETE)
    unfinished = cut.spans[:, 1] == len(cut.text)
    assert prompts.readable(cut).tolist() == (~cut.special & ~unfinished).tolist() and 0 < unfinished.sum() < 5


def changed(tiny_pair: Pair[Path], change: Callable[[PreTrainedTokenizerFast], object]) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(tiny_pair.base)
    change(tokenizer)
    return tokenizer


def without_bos(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([])


def test_how_two_tokenizers_stand_to_each_other(tiny_pair: Pair[Path], byte_fallback):
    """One that puts no begin token in front was taken for one that cuts texts differently."""
    own = AutoTokenizer.from_pretrained(tiny_pair.base)
    bare, more = changed(tiny_pair, without_bos), changed(tiny_pair, lambda one: one.add_tokens(["<tool>"]))
    assert own("a")["input_ids"] != bare("a")["input_ids"]
    assert prompts.relation(Pair(own, changed(tiny_pair, lambda one: None))) == "equal"
    assert prompts.relation(Pair(own, bare)) == prompts.relation(Pair(bare, own)) == "compatible"
    assert prompts.relation(Pair(own, more)) == "compatible"
    assert prompts.relation(Pair(own, byte_fallback)) == "different"


def test_ids_that_stand_for_different_tokens_are_found(tiny_pair: Pair[Path]):
    own = AutoTokenizer.from_pretrained(tiny_pair.base)
    one = changed(tiny_pair, lambda one: one.add_tokens(["<tool>", "<call>"]))
    other = changed(tiny_pair, lambda one: one.add_tokens(["<tool>", "<give>", "<take>"]))
    first = len(own)
    for pair, ids in ((Pair(own, own), []), (Pair(own, one), [0, 1]), (Pair(one, other), [1, 2])):
        assert prompts.different_ids(pair).tolist() == [first + id for id in ids]
        assert prompts.different_ids(pair.swap()).tolist() == [first + id for id in ids]
