"""Pair: two sides, lifted functions."""

from __future__ import annotations

from model_utils.pair import SIDES, Pair


def test_map_keeps_sides_and_goes_base_first():
    seen = []
    assert Pair(1, 2).map(lambda value: seen.append(value) or value * 10) == Pair(10, 20)
    assert seen == [1, 2]


def test_zip_items_and_sides_agree():
    pair = Pair("b", "t").zip(Pair(1, 2))
    assert pair == Pair(("b", 1), ("t", 2))
    assert [side for side, _ in pair.items()] == list(SIDES)
    assert [pair[side] for side in SIDES] == [value for _, value in pair.items()]


def test_swap_twice_is_nothing():
    assert Pair(1, 2).swap() == Pair(2, 1)
    assert Pair(1, 2).swap().swap() == Pair(1, 2)
