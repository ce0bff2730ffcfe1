"""Blind judging: sides that are drawn and stay, laws of preference and place, exact statistics, and what the chain, bundles and erasures do to it."""

from __future__ import annotations

import io
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.preferences import Preferences
from model_utils.contracts.probe import LEVEL
from model_utils.contracts.records import CHOICES, Choice, Preference, Record
from model_utils.contracts.survey import SurveyRequest
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair, Side, other_side
from model_utils.probes.statistics import POWER
from model_utils.records import bundle, preferences, recording, sessions
from model_utils.records.preferences import Comparison, Comparisons, Given
from model_utils.records.store import Store
from tests import results

COUNT = 400
"""Comparisons of the laws; their salts are fixed, so that the draws are."""


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'records.db'}")


def survey_record(*texts: tuple[str, str], system: str | None = None) -> Record:
    """One instruction for each (base's answer, tuned's answer)."""
    asked = tuple(f"Question {number}?" for number in range(len(texts)))
    items = [replace(results.surveyed(one), texts=Pair(*both)) for one, both in zip(asked, texts, strict=True)]
    return results.record(results.survey(*items), SurveyRequest(instructions=asked, system=system))


def generation_record(instruction: str = "What is the capital?") -> Record:
    return results.record(results.generation(), GenerationRequest(messages=ask(instruction)))


def session_of(kept: Store, *records: Record) -> str:
    session = sessions.start(kept, "Judged")
    for one in records:
        recording.keep(kept, session, one)
    return session


def unlike(count: int) -> Record:
    return survey_record(*((f"b{number}", f"t{number}") for number in range(count)))


def comparison(number: int, models: Pair[str] | None = None) -> Comparison:
    salt = number.to_bytes(16, "big")
    names = models or Pair("demo/base", "demo/tuned")
    return Comparison(number + 1, None, ask(f"Question {number}?"), Pair("b", "t"), names, Pair("1", "2"), salt)


ASKED = Comparisons(tuple(comparison(number) for number in range(COUNT)), 0, 0)


def judged(*choices: Choice, author: str = "Ada", left: Side | None = None) -> list[Given]:
    """A choice for each of the first comparisons, whose sides stand as they are drawn unless `left` is given."""
    return [
        Given(entry, one.record, Preference(author, left or preferences.left_side(one, author), choice))
        for entry, (one, choice) in enumerate(zip(ASKED.found, choices, strict=False), start=COUNT + 1)
    ]


def swapped(one: Given) -> Given:
    """The same choice of a place, where the sides stood the other way round."""
    return one._replace(preference=replace(one.preference, left=other_side(one.preference.left)))


choices = st.lists(st.sampled_from(CHOICES), min_size=1, max_size=60)


# Laws of preference and place


@given(choices)
def test_swapped_sides_flip_the_preference_and_leave_the_place(chosen: list[Choice]):
    one = preferences.concluded(ASKED, judged(*chosen))
    other = preferences.concluded(ASKED, [swapped(vote) for vote in judged(*chosen)])
    assert str(one.position) == str(other.position)  # as text, because NaN is not itself
    (here,), (there,) = one.compared, other.compared
    assert here.wins == there.wins.swap() and here.tuned.of == there.tuned.of
    assert (here.equal, here.both_bad, here.judged) == (there.equal, there.both_bad, there.judged)
    if here.tuned.of:
        assert here.tuned.share == pytest.approx(1 - there.tuned.share)
        assert (here.tuned.low, here.tuned.high) == pytest.approx((1 - there.tuned.high, 1 - there.tuned.low))
        assert here.tuned.p == there.tuned.p and str(here.tuned.needed) == str(there.tuned.needed)


def test_who_always_says_left_prefers_neither_model_and_the_place_shows():
    found = preferences.concluded(ASKED, judged(*["left"] * COUNT))
    assert found.position.share == 1 and found.position.decided and "The place decided too" in " ".join(found.said())
    (models,) = found.compared
    assert binom.ppf(0.0005, COUNT, 0.5) <= models.wins.tuned <= binom.ppf(0.9995, COUNT, 0.5)


def test_who_always_takes_the_same_model_shows_no_place():
    sides = [preferences.left_side(one, "Ada") for one in ASKED.found]
    found = preferences.concluded(ASKED, judged(*("left" if side == "tuned" else "right" for side in sides)))
    (models,) = found.compared
    assert models.tuned.share == 1 and models.tuned.decided and models.said().startswith("Tuned is preferred")
    assert binom.ppf(0.0005, COUNT, 0.5) <= found.position.chosen <= binom.ppf(0.9995, COUNT, 0.5)


@given(choices)
def test_every_judgement_is_counted_once(chosen: list[Choice]):
    found = preferences.concluded(ASKED, judged(*chosen))
    (models,) = found.compared
    assert models.judged == len(chosen) == len(found.counted) == len(found.table())
    assert models.equal == chosen.count("tie") and models.both_bad == chosen.count("both bad")
    assert models.tuned.of == found.position.of == chosen.count("left") + chosen.count("right")
    assert models.tuned.chosen == sum(one.preference.winner == "tuned" for one in found.counted)


def test_judges_of_the_same_answers_count_as_one():
    """Ten judges of one answer have seen one answer."""
    votes = [vote for name in "abcdefghij" for vote in judged("left", author=name, left="tuned")]
    (models,) = preferences.concluded(ASKED, votes).compared
    assert models.wins == Pair(0, 1) and models.tuned.p == 1
    divided = [*judged("left", author="a", left="tuned"), *judged("left", author="b", left="base")]
    (models,) = preferences.concluded(ASKED, divided).compared
    assert (models.divided, models.tuned.of, models.judged) == (1, 0, 1) and "neither was preferred" in models.said()


def test_models_are_not_thrown_together():
    other = replace(comparison(1, Pair("demo/base", "demo/flawed")), weights=Pair("1", "3"))
    asked = Comparisons((comparison(0), other), 0, 0)
    found = preferences.concluded(asked, judged("left", "right", left="tuned"))
    assert [one.models.tuned for one in found.compared] == ["demo/tuned", "demo/flawed"]
    assert [one.wins for one in found.compared] == [Pair(0, 1), Pair(1, 0)] and found.position.of == 2


# Statistics


@given(st.integers(1, 300), st.data())
@example(1, None)
def test_a_share_has_the_textbook_interval_and_p(of: int, data: st.DataObject | None):
    chosen = data.draw(st.integers(0, of)) if data else 0
    found, twin = preferences.share(chosen, of, of), binomtest(chosen, of)
    ends = twin.proportion_ci(method="wilson")
    assert found.p == pytest.approx(twin.pvalue, rel=1e-9) and found.share == chosen / of
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=1e-6)
    assert math.isnan(found.needed) == (found.decided or 2 * chosen == of)


@pytest.mark.parametrize("chosen", range(13))
def test_as_many_as_are_needed_decide_it_with_about_the_stated_chance(chosen: int):
    """In expectation of the exact test, whose levels are discrete."""
    found = preferences.share(chosen, 12, 24)
    if math.isnan(found.needed):
        assert found.decided or chosen == 6
        return
    of = round(found.needed / 2)  # as many ties as here
    power = sum(binom.pmf(k, of, chosen / 12) for k in range(of + 1) if preferences.binomial(k, of) <= LEVEL)
    assert found.needed > 24 and power > POWER - 0.08


def test_fewer_than_six_decide_nothing():
    assert [preferences.share(of, of, of).decided for of in range(1, 8)] == [False] * 5 + [True] * 2
    assert preferences.share(1, 1, 1).needed == 6 and math.isnan(preferences.share(0, 0, 3).p)


def coincidences(votes: list[list[Side | None]]) -> float:
    """Krippendorff's alpha by its matrix of coincidences, cell by cell."""
    matrix: Counter[tuple[Side | None, Side | None]] = Counter()
    for unit in votes:
        for one in range(len(unit)):
            for other in range(len(unit)):
                if one != other:
                    matrix[unit[one], unit[other]] += 1 / (len(unit) - 1)  # type: ignore[assignment]
    totals: Counter[Side | None] = Counter()
    for (one_, _), weight in matrix.items():
        totals[one_] += weight  # type: ignore[assignment]
    n = sum(totals.values())
    observed = sum(weight for (one_, other_), weight in matrix.items() if one_ != other_)
    expected = sum(totals[a] * totals[b] for a in totals for b in totals if a != b) / (n - 1)
    return 1 - observed / expected if expected else math.nan


@given(st.lists(st.lists(st.sampled_from([*SIDES, None]), max_size=4), max_size=12))
def test_agreement_is_that_of_the_matrix_of_coincidences(votes: list[list[Side | None]]):
    several = [one for one in votes if len(one) > 1]
    found = preferences.agreement(votes)
    assert found.answers == len(several)
    if several:
        assert found.alpha == pytest.approx(coincidences(several), nan_ok=True)
        assert (found.share == pytest.approx(1)) == all(len(set(one)) == 1 for one in several)


def test_agreement_is_one_where_all_choose_alike():
    found = preferences.agreement([["tuned"] * 3, ["base"] * 2, [None]])
    assert (found.answers, found.share, found.alpha) == (2, 1, 1) and "100 %" in found.said()
    assert math.isnan(preferences.agreement([["tuned"] * 3]).alpha), "with one choice, chance does as well"


# What is asked


def test_the_side_is_drawn_once_for_each_author_and_place(kept: Store):
    session = session_of(kept, unlike(80))
    first, again = (preferences.comparisons(kept, session).found for _ in range(2))
    drawn = {name: [preferences.left_side(one, name) for one in first] for name in ("Ada", "Béla", " Ada ")}
    assert drawn["Ada"] == drawn[" Ada "] == [preferences.left_side(one, "Ada") for one in again], "a reload"
    assert drawn["Ada"] != drawn["Béla"] and set(drawn["Ada"]) == {"base", "tuned"}
    orders = [[one.item for one in preferences.in_order(first, name)] for name in ("Ada", "Ada", "Béla")]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == list(range(80))


def test_every_judgement_says_what_stood_where_as_it_was_drawn(kept: Store):
    session = session_of(kept, unlike(8), generation_record())
    asked = preferences.comparisons(kept, session)
    for one in asked.found:
        preferences.prefer(kept, session, one.record, one.item, " Ada ", "left", " short ", 2.5)
    found = preferences.preferences(kept, session)
    assert {one.preference.left for one in found.judged} <= set(SIDES) and len(found.counted) == 9
    for one, shown in zip(found.judged, asked.found, strict=True):
        assert (one.record, one.preference.item) == shown.key
        assert one.preference == Preference("Ada", preferences.left_side(shown, "Ada"), "left", shown.item, "short", 2.5)  # fmt: skip


def test_what_cannot_be_judged_is_left_out_and_counted(kept: Store):
    """Answers that are alike, refused ones, what was recorded twice, what was erased, and analyses without answers."""
    mixed = survey_record(("same", "same"), ("b", "t"), system="Be brief.")
    refused = replace(mixed, result=replace(mixed.result, items=(results.refused("No?"), *mixed.result.items)))
    session = session_of(kept, results.record(), refused, refused, generation_record(), generation_record("Else?"))
    sessions.erase(kept, session, 5, "Ada", "asked to")
    found = preferences.comparisons(kept, session)
    assert [one.key for one in found.found] == [(2, 2), (4, None)] and (found.same, found.repeated) == (2, 1)
    assert [one.content for one in found.found[0].messages] == ["Be brief.", "Question 1?"]
    assert found.found[1].answers == results.generation().answers.map(lambda one: one.text)
    for record, item in ((1, None), (2, 0), (2, 1), (2, 9), (2, None), (4, 0), (5, None)):
        with pytest.raises(Refused, match=r"no two unlike answers|was erased"):
            preferences.prefer(kept, session, record, item, "Ada", "left")
    with pytest.raises(Refused, match="author's name is empty"):
        preferences.prefer(kept, session, 4, None, "  ", "left")
    said = " ".join(preferences.preferences(kept, session).said())
    assert "2 times both answers are word for word the same" in said and "No answers were judged" in said


def test_the_same_answers_of_other_weights_are_others(kept: Store):
    one = generation_record()
    other = replace(one, identities=one.identities.map(lambda each: replace(each, weights="f" * 64)))
    renamed = replace(one, specs=Pair(one.specs.base, ModelSpec(id="demo/flawed")))
    assert len(preferences.comparisons(kept, session_of(kept, one, other, renamed, one)).found) == 3


def test_the_first_judgement_counts_because_a_later_one_is_not_blind(kept: Store):
    session = session_of(kept, generation_record())
    for author, preferred in (("Ada", "left"), ("Béla", "right"), ("ada", "tie")):
        preferences.prefer(kept, session, 1, None, author, preferred)  # type: ignore[arg-type]
    found = preferences.preferences(kept, session)
    assert [(one.entry, one.counted) for one in found.judged] == [(2, "yes"), (3, "yes"), (4, "again")]
    assert kept.content(session, 4).preferred == "tie", "it stays readable"
    assert "Once somebody judged the same answers again" in " ".join(found.said())
    assert found.authors == ("Ada", "Béla") and found.agreement.answers == 1


# The chain, bundles, erasures


def filled(kept: Store) -> tuple[str, Preferences]:
    session = session_of(kept, unlike(4), generation_record())
    for number, one in enumerate(preferences.comparisons(kept, session).found):
        preferences.prefer(kept, session, *one.key, "Ada", CHOICES[number % 4], "because 漢字", 1.0)
    return session, preferences.preferences(kept, session)


def test_judgements_are_in_the_chain_and_go_with_the_session(kept: Store, tmp_path: Path):
    session, found = filled(kept)
    head = sessions.check(kept, session)
    assert not head.problem and head.entries == 8
    file = io.BytesIO()
    bundle.write(kept, session, file)
    there = Store(f"sqlite:///{tmp_path / 'there.db'}")
    file.seek(0)
    assert bundle.read(there, file).head == head.head and sessions.check(there, session, head.head) == head
    assert str(preferences.preferences(there, session)) == str(found)
    sides = [[preferences.left_side(one, "Béla") for one in preferences.comparisons(store, session).found] for store in (kept, there)]  # fmt: skip
    assert sides[0] == sides[1], "the salts went with it"


def test_an_altered_judgement_is_found_and_not_counted(kept: Store):
    session, _ = filled(kept)
    with kept.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE entry SET content = CAST(content || x'00' AS BLOB) WHERE number = 4")
    assert "content of entry 4 (preference) was altered" in sessions.check(kept, session).problem
    with pytest.raises(Refused, match="content of entry 4 is not as it was written"):
        preferences.preferences(kept, session)


def test_an_erased_judgement_is_gone_and_the_former_one_counts_again(kept: Store):
    session = session_of(kept, generation_record())
    for choice in ("left", "tie"):
        preferences.prefer(kept, session, 1, None, "Ada", choice, "a secret reason")  # type: ignore[arg-type]
    sessions.erase(kept, session, 3, "Ada", "asked to")
    found = preferences.preferences(kept, session)
    assert [(one.entry, one.counted) for one in found.judged] == [(2, "yes")]
    verified = sessions.check(kept, session)
    assert not verified.problem and verified.erased == (3,)


def test_judgements_of_an_erased_record_stay_and_are_not_counted(kept: Store):
    session, found = filled(kept)
    sessions.erase(kept, session, 1, "Ada", "asked to")
    after = preferences.preferences(kept, session)
    assert [one.counted for one in after.judged] == ["not comparable"] * 4 + ["yes"] and len(found.counted) == 5
    assert "4 times a judgement was left out" in " ".join(after.said()) and not sessions.check(kept, session).problem
    with pytest.raises(Refused, match="nobody can judge its answers any more"):
        kept.append(session, "preference", Preference("Ada", "base", "left"), about=1)


def test_nothing_is_judged_in_a_closed_session(kept: Store):
    session, _ = filled(kept)
    sessions.close(kept, session, "Ada")
    with pytest.raises(Refused, match="closed, and nothing but an erasure"):
        preferences.prefer(kept, session, 2, None, "Béla", "left")


@pytest.mark.parametrize(
    "content",
    [
        Preference("Ada", "both", "left"),  # type: ignore[arg-type]
        Preference("Ada", "base", "middle"),  # type: ignore[arg-type]
        Preference("Ada", "base", "left", item=-1),
        Preference("Ada", "base", "left", seconds=-1.0),
        Preference("Ada", "base", "left", seconds=math.nan),
        Preference("Ada", "base", "left", seconds=math.inf),
    ],
)
def test_what_is_no_preference_is_not_kept(kept: Store, content: Preference):
    session = session_of(kept, generation_record())
    with pytest.raises(Refused, match=r"no side, no choice or no item|no time that anybody took"):
        kept.append(session, "preference", content, about=1)
    assert len(kept.listed(session)) == 2
