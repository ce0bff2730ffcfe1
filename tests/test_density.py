"""Importance density: the closed forms of the paper, one plain backward for each answer token, and the laws of a comparison."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from dashboard.figures import density as figures
from dashboard.figures import theme
from model_utils import codec, density, intervals, prompts
from model_utils.contracts.common import ROLES, Encoded, Message, ask
from model_utils.contracts.density import DIFFERENCE, MEASURES, Density, DensityRequest, measures
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.survey import MAX_INSTRUCTIONS
from model_utils.errors import Cancelled, Refused
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from tests import architectures, builders, oracles, results
from tests.models import loaded, run

TEXT = "Name 漢字 three 🎉 e\u0301 animals."
LIST = (TEXT, "Why?", "Sort these: 3, 1, 2.", "What is a cat?")
PLAIN = Pair("plain", "plain")
ANSWERS = Pair((20, 30, 40, 50, 60), (20, 31, 41))

slow = pytest.mark.slow
scores = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(-4, 4, width=16))


def request(*instructions: str, **fields) -> DensityRequest:
    given = instructions or (TEXT,)
    shared = {"formats": PLAIN, "max_new_tokens": 5, "answers": ANSWERS if len(given) == 1 else Pair(None, None)}
    return DensityRequest(instructions=given, **{**shared, **fields})


# Formulas


@given(count=st.integers(1, 300), level=st.integers(8, 10))
def test_a_token_with_one_level_throughout_has_the_largest_importance(count: int, level: int):
    assert density.importance(np.full((1, count), float(level)))[0] == pytest.approx(count**0.75)


def test_closed_forms():
    rows = np.array([[10, 10, 10, 10], [0, 9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=float)
    assert density.importance(rows).tolist() == pytest.approx([2.8284, 1, 0, 0], abs=1e-4)
    assert density.importance(np.zeros((3, 0))).tolist() == [0, 0, 0]


def test_levels_are_tenths_of_the_largest_of_a_column_and_those_up_to_the_floor_are_none():
    column = np.array([[2.0, 1.99, 1.8, 1.6, 1.41, 1.4, 0.1, 0.0, -5.0]]).T
    assert density.levels(column)[:, 0].tolist() == [10, 10, 9, 8, 8, 0, 0, 0, 0]


@given(rows=scores)
def test_a_column_without_a_score_above_0_stays_empty_and_every_other_has_a_10(rows: np.ndarray):
    found = density.levels(rows)
    assert set(np.unique(found)) <= {0, 8, 9, 10}
    np.testing.assert_array_equal(found.max(axis=0), np.where(rows.max(axis=0) > 0, 10, 0))
    assert not found[rows <= 0].any()


@given(most=st.floats(1e-30, 1e30))
def test_the_largest_is_at_the_last_level_however_it_rounds(most: float):
    """10 times a number, divided by that number, is not always 10: its ceiling was 11."""
    assert density.levels(np.array([[most], [most / 2]])).ravel().tolist() == [10, 0]


@given(rows=scores, powers=st.lists(st.integers(-60, 60), min_size=7, max_size=7))
def test_how_large_the_slopes_of_an_answer_token_are_does_not_matter(rows: np.ndarray, powers: list[int]):
    """Powers of two, which round nothing: the reason why a token of small probability, with small slopes, counts as any other."""
    factors = 2.0 ** np.array(powers[: rows.shape[1]])
    np.testing.assert_array_equal(density.levels(rows * factors), density.levels(rows))


@given(rows=scores, seed=st.integers(0, 9), times=st.integers(1, 4))
def test_laws_of_densities(rows: np.ndarray, seed: int, times: int):
    """Largest 1; the order of the answer's tokens, those without a rise, and saying everything again change nothing."""
    found = density.densities(rows)
    assert found.max() == (1 if (rows > 0).any() else 0) and found.min() >= 0
    most = density.importance(density.levels(rows))
    assert ((most == 0) | ((most >= 1 - 1e-9) & (most <= rows.shape[1] ** 0.75 + 1e-9))).all()
    order = np.random.default_rng(seed).permutation(rows.shape[1])
    np.testing.assert_allclose(density.densities(rows[:, order]), found, atol=1e-12)
    np.testing.assert_allclose(density.densities(np.tile(rows, times)), found, atol=1e-12)
    np.testing.assert_array_equal(density.densities(np.hstack([rows, -np.abs(rows)])), found)


def test_words_are_cut_from_the_instruction_and_take_the_densest_of_their_tokens():
    cut = density.words("  Name 漢字, three 🎉!\n")
    assert [word for word, *_ in cut] == ["Name", "漢", "字", ",", "three", "🎉", "!"]
    assert all("Name 漢字, three 🎉!"[start:end] == word for word, start, end in cut)
    text, spans = "Q: one two.", np.array([[0, 4], [4, 6], [6, 10], [10, 11]])
    found = density._of_words(text, spans, np.array([0.1, 0.9, 0.3, 0.0]), " one two.")
    np.testing.assert_allclose(found, [0.9, 0.3, 0.0])
    assert np.isnan(density._of_words(text, spans, np.ones(4), "one\ntwo.")).all(), "the template wrote it otherwise"


# Against one backward for each answer token


def read(folders: Pair[Path], asked: DensityRequest, side: str) -> tuple[Encoded, np.ndarray]:
    """(prompt and answer of a side, positions of the answer tokens that a person reads)."""
    messages = ask(asked.instructions[0])
    shared = {name: getattr(asked, name) for name in ("formats", "same_tokens", "sampling", "max_new_tokens")}
    prompt = run("generation", folders, GenerationRequest(messages=messages, **shared)).answers[side].prompt
    answer = prompts.encode_continuation(loaded(folders)[side].tokenizer, prompt, asked.answers[side])
    sequence = prompts.join(prompt, answer)
    return sequence, sequence.positions("answer")[prompts.counted(answer, asked.formats[side])]


@slow
@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_densities_are_those_of_one_backward_for_each_answer_token(architecture: str, tmp_path: Path):
    """Each side after its own prompt, with an answer of its own length, in the twin with twice the digits."""
    folders = architectures.tiny_pair(tmp_path, architecture)
    asked = request()
    (item,) = run("density", folders, asked).items
    family = AutoModelForSeq2SeqLM if architecture in architectures.ENCODER_DECODER else AutoModelForCausalLM
    for side, found in item.sides.items():
        sequence, places = read(folders, asked, side)
        prompt = np.flatnonzero((sequence.roles != ROLES.index("answer")) & ~sequence.special)
        loading = {"attn_implementation": "eager", "experts_implementation": "eager"}
        module = family.from_pretrained(folders[side], **loading).eval().double()
        expected = oracles.densities(module, sequence.ids, prompt, places, sequence.encoder_length)
        mine = np.array(expected)[sequence.roles[prompt] == ROLES.index("instruction")]
        np.testing.assert_allclose(found.tokens, mine, atol=1e-5)
        assert found.score == pytest.approx(mine.sum() / math.log2(2 + len(mine)), rel=1e-5)
        assert found.length == len(places) and not found.reason


@slow
def test_answers_written_here_are_those_that_both_models_give(tiny_pair: Pair[Path]):
    formats = Pair("few-shot", "chat")
    asked = GenerationRequest(messages=ask(TEXT), max_new_tokens=5, formats=formats)
    answers = run("generation", tiny_pair, asked).answers.map(lambda one: tuple(one.answer.ids.tolist()))
    made = run("density", tiny_pair, request(formats=formats, answers=Pair(None, None)))
    half = run("density", tiny_pair, request(formats=formats, answers=Pair(None, answers.tuned)))
    given = run("density", tiny_pair, request(formats=formats, answers=answers))
    assert codec.digest(made) == codec.digest(given) == codec.digest(half)


@slow
def test_what_stands_before_the_instruction_is_read_and_not_counted(tiny_pair: Pair[Path]):
    before = (Message(content="Hello"), Message(role="assistant", content="Hi."))
    alone, after = (run("density", tiny_pair, request(system=system, history=history)).items[0].sides.tuned for system, history in ((None, ()), ("Be brief.", before)))  # fmt: skip
    assert len(alone.tokens) == len(after.tokens) and len(alone.words) == len(after.words)
    assert not np.array_equal(alone.tokens, after.tokens)


# A comparison


@slow
def test_a_model_against_itself_differs_by_zero(tiny_pair: Pair[Path]):
    result = run("density", Pair(tiny_pair.base, tiny_pair.base), request(*LIST))
    assert (measures(result.items)[DIFFERENCE] == 0).all()
    one = result.interval(DIFFERENCE)
    assert (one.mean, one.low, one.high, one.count) == (0, 0, 0, len(LIST))


@slow
def test_swapped_sides_swap(tiny_pair: Pair[Path]):
    formats = Pair("few-shot", "plain")
    one = run("density", tiny_pair, request(formats=formats))
    other = run("density", tiny_pair.swap(), request(formats=formats.swap(), answers=ANSWERS.swap()))
    for side, use in one.items[0].sides.items():
        np.testing.assert_array_equal(use.tokens, other.items[0].sides.swap()[side].tokens)
        np.testing.assert_array_equal(use.words, other.items[0].sides.swap()[side].words)
    assert measures(one.items)[DIFFERENCE][0] == -measures(other.items)[DIFFERENCE][0] != 0


@slow
def test_a_list_is_what_its_instructions_give_one_by_one_with_the_intervals_of_all(tiny_pair: Pair[Path]):
    result = run("density", tiny_pair, request(*LIST))
    for instruction, item in zip(LIST, result.items, strict=True):
        (alone,) = run("density", tiny_pair, request(instruction, answers=Pair(None, None))).items
        assert codec.digest(alone) == codec.digest(item)
    values = measures(result.items)
    np.testing.assert_array_equal(values[DIFFERENCE], values["tuned"] - values["base"])
    assert [one.measure for one in result.intervals] == list(MEASURES)
    for one in result.intervals:
        again = intervals.interval(one.measure, values[one.measure])
        assert (one.mean, one.low, one.high, one.count) == (again.mean, again.low, again.high, len(LIST))
        assert one.low < one.mean < one.high


@slow
def test_tokenizers_that_cut_differently_are_no_obstacle(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: len(tokenizer["model"]["merges"]) // 2]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (item,) = run("density", Pair(tiny_pair.base, folder), request(answers=Pair(None, None))).items
    assert len(item.sides.base.tokens) < len(item.sides.tuned.tokens)
    for _, use in item.sides.items():
        assert np.isfinite(use.score) and use.words.shape == (len(item.words),) and np.isfinite(use.words).all()


# What has no number, and what is refused


@slow
def test_an_empty_answer_and_an_instruction_of_control_tokens_have_no_number_and_a_reason(tiny_pair: Pair[Path]):
    end = loaded(tiny_pair).base.tokenizer.eos_token_id
    for answer in ((), (end,)):
        result = run("density", tiny_pair, request(answers=Pair(answer, (40, 41))))
        assert result.items[0].sides.base.reason == density.NO_ANSWER and np.isfinite(
            measures(result.items)["tuned"][0]
        )
        assert np.isnan(measures(result.items)[DIFFERENCE][0]) and result.interval(DIFFERENCE).count == 0
    result = run("density", tiny_pair, request("<|pad|>"))
    assert all(use.reason == density.NO_INSTRUCTION for use in result.items[0].sides.sides)
    assert np.isnan(measures(result.items)["base"][0])


@slow
def test_where_no_slope_rises_it_says_so_instead_of_zero(tmp_path: Path):
    folder = builders.tiny_llama(tmp_path / "flat")
    tensors = load_file(folder / "model.safetensors")
    flat = {name: torch.zeros_like(one) if "lm_head" in name else one for name, one in tensors.items()}
    save_file(flat, folder / "model.safetensors", metadata={"format": "pt"})
    result = run("density", Pair(folder, folder), request())
    use = result.items[0].sides.base
    assert use.reason == density.NO_RISE and np.isnan(use.score) and use.length == 5


@slow
def test_one_that_cannot_be_asked_is_refused_alone_and_kept_with_the_reason_in_a_list(tiny_pair: Pair[Path]):
    with pytest.raises(Refused, match="tokens long"):
        run("density", tiny_pair, request("word " * 900))
    result = run("density", tiny_pair, request("word " * 900, "Why?", "What?"))
    first, *others = result.items
    assert all("tokens long" in use.reason for use in first.sides.sides)
    assert all(not use.reason for one in others for use in one.sides.sides) and result.interval("base").count == 2


@slow
@pytest.mark.parametrize(
    ("answers", "part"), [(Pair((10**6,), (20,)), "holds the token"), (Pair((20,) * 300, (20,)), "shorten one of them")]
)
def test_answers_that_a_model_cannot_read_are_refused(tiny_pair: Pair[Path], answers: Pair, part: str):
    with pytest.raises(Refused, match=part):
        run("density", tiny_pair, request(answers=answers))


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"instructions": ()}, "at least 1"),
        ({"instructions": ("a",) * (MAX_INSTRUCTIONS + 1)}, "at most 2000"),
        ({"instructions": (" ",)}, "is empty; type what the models should do"),
        ({"instructions": ("a", "b"), "answers": ANSWERS}, "for one instruction, and there are 2; give one"),
        ({"instructions": ("a",), "answers": Pair((-1,), None)}, "greater than or equal to 0"),
        ({"instructions": ("a",), "same_tokens": True}, "choose one format for both"),
    ],
)
def test_requests_that_cannot_be_meant_say_so(fields: dict, part: str):
    with pytest.raises(ValidationError, match=part):
        DensityRequest(**fields)


# On the way


class Watcher(Report):
    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.snapshots: list[Density] = []
        self.breaths = 0

    def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
        self.fractions.append(fraction)
        self.snapshots += [snapshot] if isinstance(snapshot, Density) else []

    def breathe(self, same_models: bool = True) -> None:
        self.breaths += 1


@slow
def test_progress_never_goes_back_and_the_items_so_far_are_shown(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(density, "SNAPSHOT_SECONDS", 0.0)
    watcher = Watcher()
    result = run("density", tiny_pair, request(*LIST), watcher)
    assert watcher.fractions == sorted(watcher.fractions) and watcher.fractions[-1] == 1.0
    assert [len(one.items) for one in watcher.snapshots] == [1, 2, 3, 4] and watcher.breaths >= len(LIST)
    for one in watcher.snapshots:
        assert codec.digest(one.items[-1]) == codec.digest(result.items[len(one.items) - 1])
        assert all(math.isnan(each.low) and each.count == len(one.items) for each in one.intervals)


@slow
def test_cancelled_in_the_middle_it_leaves_the_models_as_they_were(tiny_pair: Pair[Path]):
    class Stops(Watcher):
        def breathe(self, same_models: bool = True) -> None:
            super().breathe()
            if self.breaths > 12:
                raise Cancelled

    before = run("density", tiny_pair, request(*LIST))
    with pytest.raises(Cancelled):
        run("density", tiny_pair, request(*LIST), Stops())
    assert codec.digest(run("density", tiny_pair, request(*LIST))) == codec.digest(before)


@slow
def test_what_goes_into_the_codec_comes_out(tiny_pair: Pair[Path]):
    asked, result = request(*LIST), run("density", tiny_pair, request(*LIST, "word " * 900))
    assert codec.decode(codec.encode(asked)) == asked
    again = codec.decode(codec.encode(result))
    assert codec.digest(again) == codec.digest(result)
    assert again.items[0].sides.tuned.score == result.items[0].sides.tuned.score


# The figure and the table


@pytest.mark.parametrize("dark", [False, True])
def test_words_are_drawn_in_their_order_a_bar_a_side(dark: bool):
    result = results.density("What <b>is</b> it?")
    fig = figures.figure(result, 0, dark)
    for trace, (side, use) in zip(fig.data, result.items[0].sides.items(), strict=True):
        np.testing.assert_array_equal(trace.y, use.words)
        assert trace.marker.color == theme.palette(dark).sides[side] and "<b>" not in trace.text[1]
    assert list(fig.layout.xaxis.ticktext) == ["What", "&lt;b&gt;is&lt;/b&gt;", "it?"]


def test_of_a_long_instruction_the_densest_words_are_drawn_in_the_order_of_the_text():
    result = results.density("word " * 200)
    chosen = figures.drawn(result.items[0])
    both = np.fmax(*result.items[0].sides.map(lambda use: use.words).sides)
    assert len(chosen) == figures.MOST_WORDS and (np.diff(chosen) > 0).all()
    assert both[chosen].min() >= np.delete(both, chosen).max()


def test_means_are_drawn_with_their_intervals_and_swapping_the_sides_mirrors_the_difference():
    result = results.density("A b?", "C d e?", "F g?")
    swapped = replace(result, intervals=tuple(_negated(one) for one in result.intervals))
    dots = [trace for trace in figures.means(result).data if trace.name == "mean"]
    assert [list(trace.x) for trace in dots] == [[result.interval(side).mean for side in SIDES], [result.interval(DIFFERENCE).mean]]  # fmt: skip
    assert dots[1].error_x.array[0] == pytest.approx(0.1)
    low, high = figures.means(result).layout.xaxis2.range
    assert low == -high
    assert figures.means(swapped).data[-1].x[0] == -dots[1].x[0]


def _negated(one):
    return replace(one, mean=-one.mean, low=-one.high, high=-one.low) if one.measure == DIFFERENCE else one


def test_a_list_without_a_number_and_a_snapshot_are_drawn():
    nothing = results.density("A b?", "C d?", empty=("A b?", "C d?"))
    assert [list(trace.x) for trace in figures.means(nothing).data if trace.name == "mean"] == [[nothing.interval("tuned").mean]]  # fmt: skip
    snapshot = results.density("A b?", "C d?", whole=False)
    assert np.isnan(figures.means(snapshot).data[1].error_x.array).all()
    assert json.loads(figures.means(snapshot).to_json())["data"]


def test_the_table_has_a_row_for_each_instruction_in_its_order():
    result = results.density("A b?", "C d?", empty=("C d?",))
    table = result.table()
    assert table["item"].tolist() == [0, 1] and table["instruction"].tolist() == ["A b?", "C d?"]
    np.testing.assert_array_equal(table["difference"], table["tuned"] - table["base"])
    assert table["reason_base"].map(bool).tolist() == [False, True] and np.isnan(table["base"][1])
