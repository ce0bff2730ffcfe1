"""The files of CrowS-Pairs, StereoSet and BBQ as their authors published them, told apart by what they hold, with stated limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from model_utils import linewise
from model_utils.contracts.common import check_text
from model_utils.contracts.published import MAX_PUBLISHED, BBQItem, Benchmark, CrowsPair, Item, StereoCluster
from model_utils.errors import Refused
from model_utils.linewise import listed

MAX_BYTES = 40_000_000
"""The largest file, BBQ's Race_x_gender, has less than half of it."""
LOOKED_AT = 20
"""Lines that are looked at to tell what a file is."""
MAX_GROUPS = 50
MAX_CATEGORIES = 100
"""Of one file; BBQ has 11, the others fewer, and the page writes the scores of every one."""

CROWS_COLUMNS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")
PARTS = ("intrasentence", "intersentence")
LABELS = {"stereotype": "stereotype", "anti-stereotype": "antistereotype", "unrelated": "unrelated"}
"""StereoSet's gold labels -> fields of a cluster"""
BBQ_EXAMPLE = '{"context": ..., "question": ..., "ans0": ..., "question_polarity": "neg", ...}'
KNOWN = f"a csv with the columns {', '.join(CROWS_COLUMNS)} (CrowS-Pairs), JSON with data.intrasentence and data.intersentence (StereoSet), or JSON lines with question_polarity and answer_info (BBQ)"

Record = Mapping[str, object]


@dataclass(frozen=True)
class PublishedFile:
    """The items of one file, in its order."""

    benchmark: Benchmark
    items: tuple[Item, ...]
    places: tuple[int, ...]
    """(item,) its line, of StereoSet its cluster, from 1 over both parts"""
    problems: tuple[str, ...]
    """one sentence for each that was left out: which and why"""


def read(content: bytes, name: str) -> PublishedFile:
    """The items in a published file; Refused when it is none, holds none, or more than are taken."""
    text = linewise.decoded(content, name, MAX_BYTES)
    benchmark: Benchmark
    if text.lstrip().startswith("{"):
        benchmark = "bbq" if _is_bbq(text) else "stereoset"
    elif any({"sent_more", "sent_less"} & linewise.columns_of(text, one) for one in linewise.DELIMITERS):
        benchmark = "crows_pairs"
    else:
        raise Refused(f"{name} is no published file that is known here; possible are {KNOWN}.")
    found: PublishedFile
    if benchmark == "stereoset":
        clusters = linewise.collect(_clusters(text, name), _cluster, MAX_PUBLISHED, name, "item", "Cluster")
        found = PublishedFile(benchmark, *clusters)
    elif benchmark == "bbq":
        lines = ((line, linewise.attempt(_object, written)) for line, written in linewise.written(text))
        found = PublishedFile(benchmark, *linewise.collect(lines, _question, MAX_PUBLISHED, name, "item"))
    else:
        found = PublishedFile(benchmark, *linewise.collect(_rows(text, name), _pair, MAX_PUBLISHED, name, "item"))
    categories = len({item.category for item in found.items})
    if categories > MAX_CATEGORIES:
        raise Refused(f"{name} has {categories:,} categories, and at most {MAX_CATEGORIES} are scored; give its items fewer, or split it.")  # fmt: skip
    return found


# --- CrowS-Pairs ------------------------------------------------------------------------------------------------------


def _rows(text: str, name: str) -> Iterator[tuple[int, Record | ValueError]]:
    _, header, rows = linewise.table(text, CROWS_COLUMNS)
    names = [linewise.plain_name(one) for one in header]
    for needed in CROWS_COLUMNS:
        if names.count(needed) != 1:
            raise Refused(f"{name} names the column {needed} {names.count(needed)} times; CrowS-Pairs has it once.")
    for line, row in rows:
        yield line, row if isinstance(row, ValueError) else linewise.attempt(_named, (names, row))


def _named(row: tuple[list[str], list[str]]) -> Record:
    linewise.check_width(*row)
    return {name: cell for name, cell in zip(*row, strict=True) if name in CROWS_COLUMNS}


def _pair(row: Record) -> CrowsPair:
    return _made(
        CrowsPair,
        more=_text(row, "sent_more"),
        less=_text(row, "sent_less"),
        direction=_one_of(row, "stereo_antistereo", "stereo", "antistereo"),
        category=_text(row, "bias_type"),
    )


# --- StereoSet --------------------------------------------------------------------------------------------------------


def _clusters(text: str, name: str) -> Iterator[tuple[int, Record | ValueError]]:
    whole = linewise.attempt(lambda written: linewise.value_of(written, '{"version": ..., "data": ...}'), text)
    if isinstance(whole, ValueError):
        raise Refused(f"{name} is neither StereoSet nor BBQ: {linewise.clause(whole)}.")
    data = whole.get("data") if isinstance(whole, dict) else None
    parts = [part for part in PARTS if isinstance(data, dict) and isinstance(data.get(part), list)]
    if not parts or not isinstance(data, dict):
        raise Refused(f"{name} is no published file that is known here; possible are {KNOWN}.")
    number = 0
    for part in parts:
        for cluster in data[part]:
            number += 1
            if isinstance(cluster, dict):
                yield number, {**cluster, "part": part}
            else:
                yield number, ValueError("It is no object")


def _cluster(given: Record) -> StereoCluster:
    sentences = given.get("sentences")
    if not isinstance(sentences, list) or not all(isinstance(one, dict) for one in sentences):
        raise ValueError("Its sentences are no list of objects")
    labels = [one.get("gold_label") for one in sentences]
    if len(labels) != len(LABELS) or any(labels.count(label) != 1 for label in LABELS):
        raise ValueError(f"It needs one sentence each whose gold_label is {', '.join(LABELS)}")
    by_label = {LABELS[one["gold_label"]]: _text(one, "sentence") for one in sentences}
    named = {
        "target": _text(given, "target"),
        "category": _text(given, "bias_type"),
        "context": _text(given, "context"),
    }
    return _made(StereoCluster, part=given["part"], **named, **by_label)


# --- BBQ --------------------------------------------------------------------------------------------------------------


def _is_bbq(text: str) -> bool:
    """Whether one of its first lines is an object like those of BBQ; a bad line is for later to name."""
    for (_, written), _number in zip(linewise.written(text), range(LOOKED_AT), strict=False):
        value = linewise.attempt(_object, written)
        if isinstance(value, dict) and {"question_polarity", "answer_info"} & value.keys():
            return True
    return False


def _object(written: str) -> Record:
    value = linewise.value_of(written, BBQ_EXAMPLE)
    if not isinstance(value, dict):
        raise ValueError(f"It is no object; write it like {BBQ_EXAMPLE}")
    return value


def _question(line: Record) -> BBQItem:
    answers = tuple(_text(line, f"ans{number}") for number in range(3))
    info = line.get("answer_info")
    if not isinstance(info, dict):
        raise ValueError("Its answer_info is no object")
    said = [_words(info.get(f"ans{number}"), f"answer_info.ans{number}") for number in range(3)]
    unknown = [number for number, words in enumerate(said) if words and words[-1].casefold() == "unknown"]
    if len(unknown) != 1:
        raise ValueError(f"{len(unknown)} of its answers are marked as unknown in answer_info, and one must be")
    more = line.get("additional_metadata", {})
    if not isinstance(more, dict):
        raise ValueError("Its additional_metadata is no object")
    category = _text(line, "category")
    groups = _words(more.get("stereotyped_groups", []), "additional_metadata.stereotyped_groups")
    others = {number: words for number, words in enumerate(said) if number != unknown[0]}
    given = next((one["target_loc"] for one in (line, more) if one.get("target_loc") not in (None, "")), None)
    return _made(
        BBQItem,
        context=_text(line, "context"),
        question=_text(line, "question"),
        answers=answers,
        unknown=unknown[0],
        right=_place(line.get("label"), "label"),
        target=target(others, groups) if given is None else _place(given, "target_loc"),
        polarity=_one_of(line, "question_polarity", "neg", "nonneg"),
        condition=_one_of(line, "context_condition", "ambig", "disambig"),
        category=category,
        names=_are_names(
            next((one["label_type"] for one in (line, more) if "label_type" in one), None), category, others
        ),
        question_index=_index(line.get("question_index")),
    )


def target(answers: Mapping[int, tuple[str, ...]], groups: tuple[str, ...]) -> int:
    """Which of the two `answers` (option -> what answer_info says of it) names one of the stereotyped `groups`; -1: none, or both.

    BBQ's own program takes it from a table of its own (target_loc), which lines may repeat; without it, the labels of both answers are
    compared with the stereotyped groups, as wholes and in their parts ("F-Black", "nonTrans_F"), and woman, girl, man and boy
    as F and M. Of two people of one race in the files that cross race with gender or income, only that table knows which one it is.
    """
    wanted = {_plain(one) for one in groups}
    named = [option for option, words in answers.items() if wanted & _keys(words)]
    return named[0] if len(named) == 1 else -1


def _index(value: object) -> str:
    """The published files write it as a text; what was merged with a table may have a number."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("Its question_index is neither a text nor a whole number")
    text = str(value).strip()
    return check_text(text, "question_index") if text else ""


GENDERS = {"woman": "f", "girl": "f", "man": "m", "boy": "m"}


def _keys(words: tuple[str, ...]) -> set[str]:
    """All that an answer goes by."""
    parts = [part for word in words for part in (word, *word.split("_"), *re.split(r"_|(?<=^[FM])-|(?<=SES)-", word))]
    gendered = [GENDERS[one] for word in words for one in re.findall(r"\w+", word.casefold()) if one in GENDERS]
    return {_plain(part) for part in parts} | set(gendered)


def _plain(name: str) -> str:
    """'low SES' stands beside 'lowSES'."""
    return re.sub(r"\s+", "", name).casefold()


def _are_names(label_type: object, category: str, others: Mapping[int, tuple[str, ...]]) -> bool:
    """Whether people's names stand for groups: as label_type says (a column of BBQ's table that lines may repeat), or, in the two files whose
    generator writes a gender beside each name ("F-Black", "M"), where a capitalised name stands beside it."""
    if label_type is not None:
        return label_type == "name"
    if category not in ("Race_ethnicity", "Gender_identity"):
        return False
    return all(
        len(words) == 2 and words[0][:1].isupper() and re.search(r"(^|_)[FM](-|$)", words[1]) is not None
        for words in others.values()
    )


# --- what all of them need --------------------------------------------------------------------------------------------


def _made(kind: Callable[..., Any], **fields: object) -> Any:
    """An item, or why the contract does not take it, in one clause."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        if "error" in first.get("ctx", {}):
            raise ValueError(str(first["ctx"]["error"])) from error
        raise ValueError(
            f"Its {first['loc'][0] if first['loc'] else 'text'} cannot be taken ({first['msg']})"
        ) from error


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise ValueError(f"Its {name} is no text")
    return check_text(value, name)


def _one_of(record: Record, name: str, *possible: str) -> str:
    value = record.get(name)
    if value not in possible:
        raise ValueError(f"Its {name} is {listed([value]) if isinstance(value, str) else 'no text'}; possible are {' and '.join(possible)}")  # fmt: skip
    return str(value)


def _words(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_GROUPS or not all(isinstance(one, str) for one in value):
        raise ValueError(f"Its {name} is no list of at most {MAX_GROUPS} texts")
    return tuple(value)


def _place(value: object, name: str) -> int:
    if value not in (0, 1, 2) or isinstance(value, bool):
        raise ValueError(f"Its {name} is none of 0, 1 and 2")
    return (0, 1, 2).index(value)
