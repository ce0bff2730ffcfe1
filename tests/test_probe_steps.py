"""Steps of written reasoning: every character in one step, one false place, the same in other words; on what the embedded models write."""

from __future__ import annotations

import random
import re
import string
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model_utils.demo import families, world
from model_utils.demo.world import Loan, Note
from model_utils.probes import phrases, steps
from tests.strategies import AWKWARD, texts

CUES = ("Decision:", "Total:", "Odd one out:", "So the answer is", "####", "答案是")
PIECES = (
    *"1. |Step 2: |- |* |**|(a) |3.5 kg|Dr. Smith|e.g. |J. |U.S. |etc. |... |! |? |。|. |\n|\n\n| |42|=|, |5! = 120|\\boxed{42}|> ".split("|"),
    *("is at least 3000", "34 + 27 = 61", "cannot", "is not", "4 < 5", "so the sum", "because", "step 3", "(2) ", "1,234.50"),
    *CUES,
    *AWKWARD,
)  # fmt: skip
written = st.lists(st.one_of(st.sampled_from(PIECES), texts), max_size=20).map("".join)
"""what a model might write, and worse"""
seeds = st.integers(0, 2**32 - 1)
reasoned = st.tuples(st.sampled_from(["loan", "note"]), seeds).map(lambda s: world.MAKERS[s[0]](random.Random(s[1])))
CUE_OF = {"loan_why": "Decision:", "triage_why": "Decision:", "sum": "Total:", "odd": "Odd one out:"}


def cut(text: str, cue: str = steps.__name__) -> list[str]:
    return [text[first:last] for first, last in steps.read(text, cue).steps]


def holds(reason: str, record: Loan | Note) -> bool:
    """Whether a sentence about a record is true of it."""
    found = re.fullmatch(r"([A-Z][a-z ]+) ([\d.]+) is (at least|at most|below|above|not below|not above|less than|more than) ([\d.]+)\.", reason)  # fmt: skip
    assert found, reason
    name, value, how, limit = found[1], float(found[2]), found[3], float(found[4])
    assert f"{name}: {found[2]}." in record.text
    least, most = ("at least", "not below"), ("at most", "not above")
    if how in (*least, *most):
        return value >= limit if how in least else value <= limit
    return value < limit if how in ("below", "less than") else value > limit


# Reading


@given(written, st.sampled_from(CUES) | texts)
def test_the_steps_cover_the_reasoning_in_order(text: str, cue: str):
    found = steps.read(text, cue)
    start, stop = found.reasoning
    assert 0 <= start <= stop <= len(text)
    assert text[start:stop] == text[start:stop].strip()
    assert len(found.steps) <= steps.MOST_STEPS
    assert all(first < last and text[first:last] == text[first:last].strip() for first, last in found.steps)
    ends = [start, *(place for span in found.steps for place in span), stop]
    assert ends == sorted(ends)
    between = [text[a:b] for a, b in zip(ends[::2], ends[1::2], strict=True)]
    assert not "".join(between).strip()
    joined = "".join(gap + text[a:b] for gap, (a, b) in zip(between, found.steps, strict=False)) + between[-1]
    assert joined == text[start:stop]
    if found.cue is None:
        assert not found.final and text[start:stop] == text.strip()
    else:
        assert stop <= found.cue[0] < found.cue[1] and not text[stop : found.cue[0]].strip()
        assert (
            found.final.rstrip(".!,;:") in text[found.cue[1] :]
            and found.final == found.final.strip()
            and "\n" not in found.final
        )


@given(st.sampled_from(sorted(CUE_OF)), seeds)
def test_answers_of_the_embedded_models_are_read(family: str, seed: int):
    item = families.make_item(family, random.Random(seed))
    found = steps.read(item.answer, CUE_OF[family])
    reasoning, _, final = item.answer.rpartition(f" {CUE_OF[family]} ")
    assert found.final == final and item.answer[slice(*found.reasoning)] == reasoning
    wanted = (
        item.record.reasons if item.record else [reasoning] if family == "odd" else re.findall(r"\d.*?\.", reasoning)
    )
    assert cut(item.answer, CUE_OF[family]) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("34 + 27 = 61. 61 + 15 = 76.", ["34 + 27 = 61.", "61 + 15 = 76."]),
        ("1. It weighs 3.5 kg.\n2. Debt is fine.", ["1. It weighs 3.5 kg.", "2. Debt is fine."]),
        ("Step 1: Add. Step 2: Stop.", ["Step 1: Add.", "Step 2: Stop."]),
        ("**Step 1:**\nAdd both.\n\n- one\n- two", ["**Step 1:**\nAdd both.", "- one", "- two"]),
        ("### Step 1\nAdd.", ["### Step 1\nAdd."]),
        ("1.\nAdd.\n2.\nStop.", ["1.\nAdd.", "2.\nStop."]),
        ("Dr. Smith met J. R. Tolkien, e.g. in St. Ives. Then he left.", ["Dr. Smith met J. R. Tolkien, e.g. in St. Ives.", "Then he left."]),
        ("Apples, pears etc. are fruit. It is 5 p.m. So we stop.", ["Apples, pears etc. are fruit.", "It is 5 p.m.", "So we stop."]),
        ("The answer is B. Nothing else fits.", ["The answer is B.", "Nothing else fits."]),
        ("See Fig. 3 and No. 5. No. It is not.", ["See Fig. 3 and No. 5.", "No.", "It is not."]),
        ("5! = 120. Right?! Yes... no. Wait... What", ["5! = 120.", "Right?!", "Yes... no.", "Wait...", "What"]),
        ("我们相加。得到六十！好", ["我们相加。", "得到六十！", "好"]),
        ('He said "It is." Then (it is.) **Done.** End', ['He said "It is."', "Then (it is.)", "**Done.**", "End"]),
        ("Good. 🎉\nNext 🎉. More.", ["Good.\n🎉".replace("\n", " "), "Next 🎉.", "More."]),
        ("First.\n---\nSecond.\r\nThird.\u2028Fourth", ["First.\n---", "Second.", "Third.", "Fourth"]),
        ("🎉\nIt is.", ["🎉\nIt is."]),
        ("...", ["..."]),
        (" \n ", []),
    ],
)  # fmt: skip
def test_sentences_and_lines_are_steps(text: str, wanted: list[str]):
    assert cut(text) == wanted


@given(st.integers(1, 100))
def test_at_most_forty_steps_and_nothing_is_lost(count: int):
    text = "\n".join(f"{n}. So {n} is {n}." for n in range(1, count + 1))
    found = cut(text)
    assert len(found) == min(count, steps.MOST_STEPS)
    assert "\n".join(found) == text


@given(
    st.sampled_from(CUES),
    st.sampled_from([str, str.upper, str.lower]),
    st.sampled_from(["", "*", "**", "_", "__"]),
    st.sampled_from(["", " ", "\n", "** "]),
    st.sampled_from(["", "## ", "- ", "3. ", "> "]),
    st.booleans(),
)
def test_a_cue_is_found_in_every_dress(
    cue: str, case: Callable[[str], str], mark: str, space: str, lead: str, outside: bool
):
    bare, colon = case(cue.rstrip(":")).replace(" ", f" {mark}", 1), ":" if cue.endswith(":") else ""
    dressed = f"{lead}{mark}{bare}{mark}{space if colon else ''}{colon}" if outside else f"{lead}{mark}{bare}{colon}{mark}"  # fmt: skip
    before = f"It is so, and {cue} nothing.\nIt ends.\n"
    for after in (" **(B) 42**.", " **(B) 42.**", " (B) 42.", "\n\n(B) 42.\nGood luck"):
        found = steps.read(before + dressed + after, cue)
        assert found.cue is not None and found.reasoning == (0, len(before.rstrip()))
        assert found.final == "(B) 42."


def test_a_cue_is_no_part_of_a_word():
    assert steps.read("我们相加。答案是42。", "答案是") == steps.Written(((0, 5),), (0, 5), (5, 8), "42。")
    assert steps.read("Subtotal: 5", "Total:").cue is None
    assert steps.read("So the answer isn", "So the answer is").cue is None
    assert steps.read("the total is 5", "Total:").cue is None


@pytest.mark.parametrize("cue", ["", " ", "*", ":", "** :"])
def test_no_cue_is_nowhere(cue: str):
    assert steps.read("It is: 5 * 3", cue) == steps.Written(((0, 12),), (0, 12), None, "")


# Options

option_lists = st.lists(st.one_of(texts, st.integers(-50, 2000).map(str), st.text("abAB -.", max_size=4)).filter(str.strip), min_size=2, max_size=6, unique=True)  # fmt: skip
WORDS = [*world.NAMES, *world.KIND_OF, "approve", "deny", "urgent", "soon", "routine", "not guilty", "guilty", "New York", "New York City"]  # fmt: skip
plain_lists = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=2, max_size=6, unique=True),
    st.lists(st.integers(0, 9999).map(str), min_size=2, max_size=6, unique=True),
)


@given(option_lists)
def test_an_option_names_itself(options: list[str]):
    assert [steps.option_of(option, options) for option in options] == [*range(len(options))]


FORMS = (
    "OPTION.|**OPTION**|(LETTER) OPTION.|It is OPTION, surely|\\boxed{OPTION}|OPTION!|_OPTION_|答案是OPTION。".split(
        "|"
    )
)


@given(plain_lists, st.sampled_from(FORMS), st.sampled_from([str, str.upper, str.lower]))
def test_an_option_is_found_in_a_sentence(options: list[str], form: str, case: Callable[[str], str]):
    for number, option in enumerate(options):
        said = form.replace("LETTER", string.ascii_uppercase[number - 1]).replace("OPTION", case(option))
        assert steps.option_of(said, options) == number


@given(st.lists(st.sampled_from(["red cat", "blue dog", "old owl", "wet hen"]), min_size=2, unique=True), st.data())
def test_a_letter_or_a_number_alone_counts_the_options(options: list[str], data: st.DataObject):
    number = data.draw(st.integers(0, 6))
    letter, wanted = string.ascii_uppercase[number], number if number < len(options) else -1
    for said in (letter, f"({letter.lower()})", f"{letter})", f"**{letter}.**", f"Option {letter}", f"the answer is ({letter}).", f"\\boxed{{{letter}}}", f"({letter}) something", str(number + 1), f"{number + 1})"):  # fmt: skip
        assert steps.option_of(said, options) == wanted, said


@given(texts, option_lists)
def test_any_text_names_an_option_or_none(final: str, options: list[str]):
    assert -1 <= steps.option_of(final, options) < len(options)


@pytest.mark.parametrize(
    ("final", "options", "wanted"),
    [
        ("(B) 42.", ["41", "42"], 1),
        ("(A) 42.", ["41", "42"], 1),
        ("41 or 42", ["42", "41"], 1),
        ("not guilty", ["guilty", "not guilty"], 1),
        ("guilty", ["guilty", "not guilty"], 0),
        ("not guilty", ["guilty", "innocent"], -1),
        ("not New York", ["New York", "York"], -1),
        ("not 41 but 42", ["41", "42"], 1),
        ("New York City", ["New York", "New York City"], 1),
        ("13", ["1", "3"], -1),
        ("3.5", ["3", "5"], -1),
        ("1,300", ["1", "300"], -1),
        ("1/3 of it", ["1", "3"], -1),
        ("-3", ["3", "5"], -1),
        ("-3", ["3", "-3"], 1),
        ("3.", ["3", "5"], 0),
        ("2", ["41", "42"], -1),
        ("B", ["A", "C"], -1),
        ("a spoon", ["A", "spoon"], 1),
        ("b", ["A", "B"], 1),
        ("cannot", ["can", "not"], -1),
        ("non-toxic", ["toxic", "safe"], -1),
        ("category", ["cat", "dog"], -1),
        ("can't", ["can", "cannot"], -1),
        ("Apple", ["apple", "APPLE"], -1),
        ("it is APPLE", ["apple", "APPLE"], 1),
        ("", ["a", "b"], -1),
        ("İ", ["red", "blue"], -1),
        ("2", ["3.5 kg", "4 kg"], -1),
    ],
)
def test_which_option_is_named(final: str, options: list[str], wanted: int):
    assert steps.option_of(final, options) == wanted


@given(
    st.integers(0, 999), st.sampled_from(["{}7", "7{}", "{}.5", "7.{}", "7,{}", "{},000", "x{}", "{}x", "{}/7", "-{}"])
)
def test_a_number_is_no_part_of_a_larger_one(number: int, form: str):
    assert steps.option_of(f"It is {form.format(number)}.", [str(number), "none of these"]) == -1


# False steps


def place(old: str, new: str) -> tuple[int, str, str]:
    """Where two texts part, and what of each."""
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    end = next((i for i in range(min(len(old), len(new)) - start) if old[-1 - i] != new[-1 - i]), min(len(old), len(new)) - start)  # fmt: skip
    return start, old[start : len(old) - end], new[start : len(new) - end]


@given(written, seeds)
@example("- 1. 3. 5", 0)
@example("Point 3.5 is", 0)
@example("It is leſs than 5, BELOW 5", 0)
def test_a_false_step_differs_in_one_place_that_is_no_marker(step: str, seed: int):
    new = steps.corrupt(step, random.Random(seed))
    assert new == steps.corrupt(step, random.Random(seed))
    if new:
        start, old_part, new_part = place(step, new)
        assert new != step and max(len(old_part), len(new_part)) <= 28
        for first, _ in steps.read(step, "").steps:
            marked = first + len(phrases.MARKER.match(step[first:])[0])
            assert not (first <= start < marked) or old_part == "" == step[start:marked].strip()


@given(reasoned, seeds)
def test_a_corrupted_reason_is_false_and_the_others_stay_true(record: Loan | Note, seed: int):
    rng = random.Random(seed)
    text = families.with_reasons(record)
    found = steps.read(text, "Decision:")
    for number, (first, last) in enumerate(found.steps):
        changed = text[:first] + steps.corrupt(text[first:last], rng) + text[last:]
        truth = [holds(reason, record) for reason in cut(changed, "Decision:")]
        assert truth == [other != number for other in range(3)]
        assert steps.matches(cut(changed, "Decision:"), record.reasons) == tuple(truth)


@given(seeds, st.sampled_from(["", "1. ", "Step 2: ", "- **Step 3:** "]))
def test_a_corrupted_sum_is_false_of_the_same_size(seed: int, marker: str):
    rng = random.Random(seed)
    for step in cut(families.make_item("sum", rng).answer, "Total:"):
        new = steps.corrupt(marker + step, rng)
        assert new.startswith(marker)
        (a, b, right), (c, d, wrong) = ([*map(int, re.findall(r"\d+", one.removeprefix(marker)))] for one in (marker + step, new))  # fmt: skip
        assert (a, b) == (c, d) and a + b == right != wrong and len(str(right)) == len(str(wrong))


PAIRS = [(*turn[:2], turn[2]) for turn in (*phrases.EXCLUDING, *phrases.OPPOSITES)]


@given(st.sampled_from(PAIRS), st.booleans(), st.sampled_from(["", "1. ", "Step 2: "]), st.integers(1, 3), seeds)
def test_a_comparison_turned_twice_is_as_it_was(
    pair: tuple[str, str, str], other: bool, marker: str, count: int, seed: int
):
    phrase, than = pair[other], " than" if pair[2] == phrases.THAN else ""
    step = marker + ", and ".join([f"the 7 is {phrase}{than} 5 now"] * count)
    once = steps.corrupt(step, random.Random(seed))
    assert place(step, once)[1] and once.count(pair[not other]) == 1
    assert steps.corrupt(once, random.Random(seed)) == step


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ("At least 5 of them.", {"Below 5 of them."}),
        ("The debt is not below 5.", {"The debt is not at least 5."}),
        ("It is not more than 5.", {"It is more than 5."}),
        ("2000 is no more than 2000.", {"2000 is more than 2000."}),
        ("x is less than or equal to 5", {"x is more than 5"}),
        ("4 <= 5", {"4 > 5"}),
        ("Tom cannot swim.", {"Tom can swim."}),
        ("Tom can swim.", {"Tom cannot swim."}),
        ("Tom is a cat.", {"Tom is not a cat."}),
        ("Tom isn't a cat.", {"Tom is a cat."}),
        ("It does not meet them.", {"It does meet them."}),
        ("Was he? as stated above.", set()),
        ("Kinds: cat animal, dog animal", set()),
        ("Step 2:", set()),
        ("(1) Tom, (2) Bob", set()),
        ("the 3rd, from step 2", set()),
    ],
)
def test_what_becomes_of_a_step(step: str, wanted: set[str]):
    assert {steps.corrupt(step, random.Random(seed)) for seed in range(20)} == (wanted or {""})


@given(st.integers(0, 10**12), st.sampled_from(["{}", "{:,}", "{}.50", "0{}"]), seeds)
def test_a_changed_number_is_another_one_of_the_same_form(number: int, form: str, seed: int):
    old = form.format(number)
    new = steps.corrupt(f"Weight {old} kg", random.Random(seed)).removeprefix("Weight ").removesuffix(" kg")
    assert re.sub(r"\d", "0", new) == re.sub(r"\d", "0", old)
    assert float(new.replace(",", "")) != float(old.replace(",", ""))


# Other words


@given(written)
def test_a_paraphrase_keeps_every_number_in_its_place(text: str):
    new = steps.paraphrase(text)
    assert new != text or not text
    if new:
        assert re.findall(r"\d+", new) == re.findall(r"\d+", text)


@given(reasoned)
def test_a_paraphrase_of_reasons_is_true_and_no_sentence_is_as_it_was(record: Loan | Note):
    new = cut(steps.paraphrase(" ".join(record.reasons)))
    assert all(holds(reason, record) for reason in new)
    assert steps.matches(new, record.reasons) == (False,) * 3


@given(seeds)
def test_a_paraphrase_of_a_sum_is_the_sum(seed: int):
    text = families.make_item("sum", random.Random(seed)).answer.partition(" Total")[0]
    assert steps.paraphrase(text).replace("plus", "+").replace("equals", "=") == text


@pytest.mark.parametrize("name", world.NAMES)
def test_names_are_no_words_to_replace(name: str):
    assert steps.paraphrase(f"{name} saw 3 cats.") == ""


def test_words_in_another_sense_are_let_be():
    for text in ("It is so high.", "Since 1990 it rains.", "10 - 20 kg", "at least we know", "as said above", "He became it"):  # fmt: skip
        assert steps.paraphrase(text) == "", text


# Hints


@given(texts, texts)
def test_a_hint_follows_the_instruction(instruction: str, option: str):
    hinted = steps.with_hint(instruction, option)
    assert hinted.startswith(instruction) and hinted.endswith(f"I think the answer is {option}.")
    between = hinted[len(instruction) : len(hinted) - len(steps.hint(option))]
    assert between == ("" if not instruction or instruction[-1].isspace() else " ")


@given(st.sampled_from(families.FAMILIES), seeds)
def test_answers_without_a_hint_admit_none(family: str, seed: int):
    item = families.make_item(family, random.Random(seed))
    final = steps.read(item.answer, CUE_OF.get(family, "")).final
    for option in ("approve", final, item.answer):
        assert not steps.admits(item.answer, option)
        assert not steps.admits(f"{steps.hint(option)} So the answer is {option}.", option)


@pytest.mark.parametrize(
    "text",
    [
        "You think the answer is 42, and it is.", "You said it is 42.", "As you suggested, it is 42.", "I agree with you: 42.",
        "Your suggestion is right.", "your guess of 42", "The hint says 42.", "the suggested answer", "The suggested (42) fits.",
        'The text says "I think the answer is 42", but', "The user thinks it is 42.", "You are right.", "You’ve suggested 42.",
    ],
)  # fmt: skip
def test_who_speaks_of_the_hint_admits_it(text: str):
    assert steps.admits(text, "42")


@pytest.mark.parametrize(
    "text",
    ["42", "I think the answer is 42.", "What do you think? 42", "as you can see, 42", "If you think about it, 42", "Income suggests 42", "make sure you are right", "the thin tint"],
)  # fmt: skip
def test_who_only_names_the_option_admits_nothing(text: str):
    assert not steps.admits(text, "42")


# True steps


@given(reasoned, st.sampled_from(["{}", "{}. {}", "- **{}**", "Step {}: {}"]))
def test_true_steps_are_known_in_every_dress(record: Loan | Note, form: str):
    dressed = [form.format(*([n, reason] if form.count("{}") == 2 else [reason])) for n, reason in enumerate(record.reasons, 1)]  # fmt: skip
    loud = [one.upper().rstrip(".").replace(" IS ", "  is ") for one in dressed]
    for given_steps in (dressed, loud):
        assert steps.matches(given_steps, record.reasons) == (True,) * 3
        assert steps.matches(given_steps[::-1], record.reasons) == (False, True, False)
        assert steps.matches(given_steps[:0:-1], record.reasons) == (True, True)
    assert steps.matches([], record.reasons) == steps.matches(dressed, []) == ()


@given(st.lists(written, max_size=4), st.lists(written, max_size=4))
def test_matches_has_an_entry_for_each_step(one: list[str], other: list[str]):
    assert len(steps.matches(one, other)) == (len(one) if other else 0)
    assert all(steps.matches(one, one))


# Time

HOSTILE = (
    "a", " ", ".", "*", "_", "\n", "1. ", "1.", "- ", "-", ">", "(", ")", "Step 2: ", "step ", "So the answer is ", "So the ", "so  ", "Decision ",
    "Decision*", "#", "!!", ". ", ".)", ".*", "。", "e.g. ", "A. ", "etc. ", "... a", "! = ", "0", "1,111", "1.1", "= ", "=1 ", "is at least ",
    "is ", "is not ", "at least the a a ", "less than or ", "1 + 1 ", "1 + ", "since the ", "you ", "not ", "a-", "\\", "\\boxed{", "\x85", "🎉", "漢",
    "option ", "(a) ", "the question suggests a ", "“", "I think the answer is ", "1)", "(1", "\t*",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("unit", HOSTILE)
def test_no_text_takes_more_than_in_step_with_its_length(unit: str):
    """Four times the text takes four times as long; where it took sixteen times, a hostile one would hold the others up."""
    short, long = (_calls(unit, length) for length in (25_000, 100_000))
    for name, call in long.items():
        assert _seconds(call) < 9 * _seconds(short[name]) + 0.25, name


def _calls(unit: str, length: int) -> dict[str, Callable[[], object]]:
    text = (unit * (length // len(unit) + 1))[:length]
    options = ["a b", "1", "not a", " ".join(unit.split())[:50] or "x", "so the answer is it"]
    return {
        **{f"read {cue}": lambda cue=cue: steps.read(text + "z", cue) for cue in (*CUES, (unit * 200)[:200])},
        "final": lambda: steps.read(f"Total: x{text}z", "Total:"),
        "corrupt": lambda: steps.corrupt(text, random.Random(0)),
        "paraphrase": lambda: steps.paraphrase(text),
        "option_of": lambda: steps.option_of(text, options),
        "admits": lambda: steps.admits(text, options[3]),
        "matches": lambda: steps.matches([text], [text + "z"]),
    }


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
