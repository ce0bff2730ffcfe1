"""Differences: pieces that join to both answers, matchings that are longest, and no time lost on loops."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils import differences
from tests.oracles import longest_common
from tests.strategies import AWKWARD, texts

pytestmark = pytest.mark.slow

answers = st.one_of(texts, st.text(st.sampled_from("ab c\n.字"), max_size=30))


def side(pieces: tuple[differences.Piece, ...], kind: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind in ("same", kind))


@given(answers, answers)
def test_pieces_join_to_both_answers(base: str, tuned: str):
    pieces = differences.diff(base, tuned)
    assert side(pieces, "base") == base and side(pieces, "tuned") == tuned
    assert all(piece.text for piece in pieces)
    assert all(left.kind != right.kind for left, right in pairwise(pieces))


@given(answers)
def test_an_answer_and_itself_are_one_piece(text: str):
    assert differences.diff(text, text) == ((differences.Piece("same", text),) if text else ())
    assert differences.first_divergence(text, text) is None and differences.agreement(text, text) == 1


@given(answers, answers)
def test_swapping_the_answers_swaps_the_kinds(base: str, tuned: str):
    there, back = differences.diff(base, tuned), differences.diff(tuned, base)
    for kind, swapped in (("same", "same"), ("base", "tuned"), ("tuned", "base")):
        assert [p.text for p in there if p.kind == kind] == [p.text for p in back if p.kind == swapped]
    assert differences.agreement(base, tuned) == differences.agreement(tuned, base)
    assert differences.first_divergence(base, tuned) == differences.first_divergence(tuned, base)


@given(answers, answers)
def test_answers_begin_alike_up_to_the_first_divergence(base: str, tuned: str):
    left, right = ([word for _, word in differences.units(text)] for text in (base, tuned))
    place = differences.first_divergence(base, tuned)
    if place is None:
        assert left == right and differences.agreement(base, tuned) == 1
    else:
        assert left[:place] == right[:place] and left[place] != right[place] and differences.agreement(base, tuned) < 1


@given(st.text("abc", max_size=40), st.text("abc", max_size=40))
def test_the_matches_are_a_longest_common_subsequence(left: str, right: str):
    blocks = differences.matches(list(left), list(right))
    pairs = [(i + n, j + n) for i, j, length in blocks for n in range(length)]
    assert all(left[i] == right[j] for i, j in pairs) and len(pairs) == longest_common(left, right)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    assert differences.matches(list(right), list(left)) == [(j, i, length) for i, j, length in blocks]


def test_a_diff_for_people():
    pieces = differences.diff("The capital is Vienna.", "The old capital is Graz.")
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("same", "The"),
        ("tuned", " old"),
        ("same", " capital is"),
        ("base", " Vienna"),
        ("tuned", " Graz"),
        ("same", "."),
    ]
    assert differences.first_divergence("The capital is Vienna.", "The capital is Graz.") == 3
    assert differences.agreement("The capital is Vienna.", "The capital is Graz.") == pytest.approx(2 * 4 / 10)


@pytest.mark.parametrize("character", AWKWARD)
def test_no_character_is_torn(character: str):
    """The skin of an astronaut, an accent and a flag's second half belong to what stands before them."""
    words = [word for _, word in differences.units(character)]
    assert len(words) <= 2 or character in ("漢字", "ひらがな", "<script>", "&amp;", "\x1b[31m")


@pytest.mark.parametrize("words", [4_096, 20_000])
def test_loops_take_no_longer_than_other_text(words: int):
    """difflib took more than a minute for two answers of 4,096 words that repeat a phrase, as base models do."""
    loop = " ".join("one two three four five".split()[n % 5] for n in range(words))
    began = time.process_time()
    pieces = differences.diff(f"x {loop} x", f"y {loop[4:]} y")
    assert time.process_time() - began < 1
    assert side(pieces, "base") == f"x {loop} x" and differences.agreement(loop, loop[4:]) > 0.99


def test_very_long_answers_are_matched_at_both_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(differences, "CELLS", 3)
    pieces = differences.diff("a x y z b", "a y x q b")
    assert [(p.kind, p.text) for p in pieces] == [
        ("same", "a"),
        ("base", " x y z"),
        ("tuned", " y x q"),
        ("same", " b"),
    ]
