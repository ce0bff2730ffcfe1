"""The chain of a session: any change of any entry is found and named, and what stored content may do to a reader."""

from __future__ import annotations

import json
import pickle
import zlib
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils.contracts.records import START, Closed, Entry, Erased, Note, Opened
from model_utils.errors import Refused
from model_utils.records import chain
from tests import results
from tests.strategies import AWKWARD

SESSION = "0123456789abcdef" * 2


def made(count: int = 6) -> list[Entry]:
    """Notes, and an erasure of the second one at the end."""
    found = [chain.follow(None, SESSION, "opened", chain.pack(Opened("A title", people=("Ada",))))]
    for number in range(1, count):
        found.append(chain.follow(found[-1], SESSION, "note", chain.pack(Note("Ada", f"note {number}")), about=0))
    return found


def erase(given_: list[Entry], number: int) -> list[Entry]:
    found = [replace(one, salt=None, content=None) if one.number == number else one for one in given_]
    return [*found, chain.follow(found[-1], SESSION, "erased", chain.pack(Erased("Ada", "asked to")), about=number)]


def test_an_untouched_chain_is_whole_and_its_head_is_its_last_hash():
    found = made()
    verified = chain.verify(found)
    assert (verified.entries, verified.head, verified.problem, verified.erased) == (6, found[-1].hash, "", ())
    assert found[0].parent == START and [one.parent for one in found[1:]] == [one.hash for one in found[:-1]]
    assert len({one.salt for one in found}) == 6 and len({one.content_hash for one in found}) == 6


def test_equal_contents_have_unlike_hashes():
    """Nobody can confirm a guess of what was erased."""
    same = chain.pack(Note("Ada", "yes"))
    first = made(1)[0]
    one, other = (chain.follow(first, SESSION, "note", same) for _ in range(2))
    assert one.content_hash != other.content_hash


def altered(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, int):
        return value + 1
    return 1 if value is None else ("1" if value[0] == "0" else "0") + value[1:]


@given(number=st.integers(0, 5), name=st.sampled_from([one.name for one in fields(Entry)]))
def test_a_change_of_any_field_of_any_entry_is_found_and_named(number: int, name: str):
    found = made()
    found[number] = replace(found[number], **{name: altered(getattr(found[number], name))})
    verified = chain.verify(found)
    assert verified.problem and verified.entries <= number + 1
    assert f"ntry {number}" in verified.problem or f"ntry {number + 1}" in verified.problem


@given(number=st.integers(0, 5), byte=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_bit_anywhere_in_a_content_is_found(number: int, byte: int, bit: int):
    found = made()
    content = bytearray(found[number].content or b"")
    content[byte % len(content)] ^= 1 << bit
    found[number] = replace(found[number], content=bytes(content))
    assert chain.verify(found).problem == f"The content of entry {number} ({found[number].kind}) was altered."


@given(number=st.integers(0, 4), other=st.integers(0, 5))
def test_missing_and_reordered_entries_are_found(number: int, other: int):
    found = made()
    without = [one for one in found if one.number != number]
    assert f"Entry {number} is missing" in chain.verify(without).problem
    if number != other:
        found[number], found[other] = found[other], found[number]
        assert chain.verify(found).problem


def test_a_rewritten_entry_with_a_hash_of_its_own_breaks_the_next():
    found = made()
    forged = replace(found[2], kind="verdict")
    found[2] = replace(forged, hash=chain.hash_entry(forged))
    verified = chain.verify(found)
    assert verified.entries == 3 and "Entry 3 (note) does not follow the entry before it" in verified.problem


def test_a_cut_off_end_shows_against_a_head_that_was_kept():
    found = made()
    head = found[-1].hash
    assert not chain.verify(found[:-2]).problem, "by itself it cannot be seen"
    assert "cut off, or the chain was written anew" in chain.verify(found[:-2], head).problem
    longer = [*found, chain.follow(found[-1], SESSION, "closed", chain.pack(Closed("Ada")))]
    assert not chain.verify(longer, head).problem, "what came after the head was known"
    anew = chain.verify(made(), head).problem
    assert "which of these are as they were, nothing shows" in anew, "a chain that was written anew"


@pytest.mark.parametrize("head", [START, "", "f" * 64])
def test_what_is_the_hash_of_no_entry_is_no_head(head: str):
    assert f"The head {head} is not among the 6 entries" in chain.verify(made(), head).problem
    assert chain.verify([], head).problem


def test_an_entry_follows_a_link_as_it_follows_the_entry():
    found = made(2)
    link = chain.Link(found[0].number, found[0].hash)
    for last in (link, found[0]):
        after = chain.follow(last, SESSION, "note", chain.pack(Note("Ada", "x")))
        assert not chain.verify([found[0], after]).problem


def test_erased_content_is_explained_by_a_later_entry_and_by_nothing_else():
    verified = chain.verify(erase(made(), 2))
    assert not verified.problem and verified.erased == (2,) and verified.entries == 7
    silently = [replace(one, salt=None, content=None) if one.number == 3 else one for one in made()]
    assert "content of entry 3 is missing, and no later entry says" in chain.verify(silently).problem
    half = [replace(one, salt=None) if one.number == 3 else one for one in made()]
    assert "half of it is gone" in chain.verify(half).problem


@given(text=st.sampled_from(AWKWARD) | st.text())
def test_what_is_packed_comes_out(text: str):
    note = Note("Ada", text)
    assert chain.unpack(chain.pack(note)) == note


def test_a_result_comes_out_bit_for_bit():
    one = results.attribution(targets=())
    assert chain.pack(chain.unpack(chain.pack(one))) == chain.pack(one)


BOMB = zlib.compress(b'"' + b"a" * (chain.MAX_CONTENT + 10) + b'"', 9)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no zlib",
        pickle.dumps(Note("Ada", "x")),
        zlib.compress(pickle.dumps(Note("Ada", "x"))),
        zlib.compress(b"\xff\xfe broken"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(json.dumps({"type": "os.system", "fields": {}}).encode()),
        zlib.compress(json.dumps({"type": "Pair", "fields": {"base": 1}}).encode()),
        chain.pack(Note("Ada", "x"))[:-3],
        chain.pack(Note("Ada", "x")) + b"more",
        BOMB,
    ],
    ids=["empty", "text", "pickle", "packed pickle", "broken UTF-8", "deep", "program", "short", "cut", "more", "bomb"],
)
def test_hostile_content_is_refused_with_a_sentence(stored: bytes):
    with pytest.raises(Refused, match=r"is not read\.|is not a request or result that Candor wrote"):
        chain.unpack(stored)


def test_what_would_become_gigabytes_of_lists_is_refused_before_it_is_read():
    many = b"[" + b"[]," * chain.MAX_BRACKETS + b"0]"
    with pytest.raises(Refused, match=r"more than 4,194,304 parts; it is not read\."):
        chain.unpack(zlib.compress(many))
