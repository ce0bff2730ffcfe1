"""What each model reads when its insides are explained: one text in the same tokens, one text in each model's own tokens, or each its own text."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model_utils import prompts
from model_utils.contracts.attribution import Alignment, Explaining, OwnText, Parted
from model_utils.contracts.common import ROLES, Encoded, Own, SharedSequence
from model_utils.errors import NotAlike, Refused
from model_utils.generation import ANSWER_SHARE, answer_ids, check_answer, encode_side, piece, shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side, other_side
from model_utils.parts import numbered, parts_of
from model_utils.reporting import Part, Report
from model_utils.targets import Target, against_of, check_numbers, target_of

ENDED = "What ends the answer is another token in the other model; it is left out."
INSTRUCTION, ANSWER = ROLES.index("instruction"), ROLES.index("answer")


@dataclass(frozen=True, eq=False)
class Read:
    """Both texts, cut into parts, and what is explained in each."""

    texts: Pair[Parted]
    targets: Pair[Target]
    alignment: Alignment
    notes: tuple[str, ...] = ()
    """sentences for people about what the alignment leaves out"""


def read(pair: Pair[LanguageModel], request: Explaining, together: bool, report: Report) -> Read:
    """What both sides read and explain; `together`: one row for the sum over the targets."""
    notes: tuple[str, ...] = ()
    alignment: Alignment = "tokens"
    if request.own is not None:
        alignment, texts = "none", _own(pair, request, request.own, together, report)
    else:
        try:
            sequence = shared_sequence(pair, request, report)
        except NotAlike:
            alignment, texts, notes = _apart(pair, request, together, report)
        else:
            text = parted(sequence, request, request.targets, together)
            texts = Pair(text, text)
    against = _against(pair, request, texts)
    targets = Pair(*(target_of(texts[side], request.quantity, against[side]) for side in SIDES))
    return Read(texts, targets, alignment, notes)


def parted(sequence: Encoded, request: Explaining, targets: tuple[int, ...], together: bool) -> Parted:
    """One text of a model's own tokens; `targets`: positions in its answer, none for all."""
    count = len(sequence.positions("answer"))
    check_numbers(targets, count)
    numbers = np.array(targets or range(count), dtype=np.int64)
    rows = np.zeros_like(numbers) if together else np.arange(len(numbers))
    parts, open_ = parts_of(sequence, request, int(sequence.positions("answer")[numbers].max()))
    return Parted(sequence, parts, open_, numbers, rows)


def _against(pair: Pair[LanguageModel], request: Explaining, texts: Pair[Parted]) -> Pair[int | None]:
    """The other token in each vocabulary; an id is one of the writer's, and stands for its text where ids are not shared."""
    if request.against is None:
        return Pair(None, None)
    writer, given = request.answer_from, request.against
    own = against_of(pair[writer], texts[writer], given)
    if isinstance(given, int) and prompts.relation(pair.map(lambda model: model.tokenizer)) == "different":
        said = piece(pair[writer], given)
        if prompts.INCOMPLETE in said:
            raise Refused(
                f"The token {given} of {pair[writer].facts.id} is part of a character, which the other model has in other tokens; type another token."
            )
        given = said.strip() or said
    other = against_of(pair[other_side(writer)], texts[other_side(writer)], given)
    return Pair(own, other) if writer == "base" else Pair(other, own)


# --- each its own text --------------------------------------------------------------------------------------------------


def own_sequences(pair: Pair[LanguageModel], request: SharedSequence, own: Own, report: Report) -> Pair[Encoded]:
    """Each side's own prompt and answer: `request` says those of `answer_from`, `own` those of the other side."""
    first = request.answer_from
    asked = Own(format=request.format, answer_ids=request.answer_ids)
    read = {
        first: _own_sequence(pair, first, asked, request, Part(report, 0.0, 0.5)),
        other_side(first): _own_sequence(pair, other_side(first), own, request, Part(report, ANSWER_SHARE / 2, 0.5)),
    }
    return Pair(**read)


def _own_sequence(pair: Pair[LanguageModel], side: Side, own: Own, request: SharedSequence, report: Report) -> Encoded:
    model, other = pair[side], pair.swap()[side]
    prompt = encode_side(model, other, request.messages, own.format)
    ids = own.answer_ids
    if ids is None:
        ids = answer_ids(model, prompt, own.format, request.sampling, request.max_new_tokens, report)
    check_answer(Pair(model, model), prompt, ids)
    return prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, ids))


def _own(pair: Pair[LanguageModel], request: Explaining, own: OwnText, together: bool, report: Report) -> Pair[Parted]:
    sequences = own_sequences(pair, request, own, report)
    first = request.answer_from
    found = {
        first: parted(sequences[first], request, request.targets, together),
        other_side(first): parted(sequences[other_side(first)], request, own.targets, together),
    }
    return Pair(**found)


# --- the same characters in tokens of their own -------------------------------------------------------------------------


def _apart(
    pair: Pair[LanguageModel], request: Explaining, together: bool, report: Report
) -> tuple[Alignment, Pair[Parted], tuple[str, ...]]:
    """Both models read the instruction and the answer, each in its own tokens and its own prompt of the same format.

    The text is cut where both have an end. Parts are made of these pieces, so that they hold the same characters on both sides; an
    explained piece of several tokens is never taken away, because its own later tokens would be explained without its first ones.
    """
    writer, reader = request.answer_from, other_side(request.answer_from)
    prompt = Pair(
        *(encode_side(pair[side], pair[other_side(side)], request.messages, request.format) for side in SIDES)
    )
    ids = request.answer_ids
    if ids is None:
        ids = answer_ids(pair[writer], prompt[writer], request.format, request.sampling, request.max_new_tokens, report)
    check_answer(Pair(pair[writer], pair[writer]), prompt[writer], ids)
    written = prompts.encode_continuation(pair[writer].tokenizer, prompt[writer], ids)
    check_numbers(request.targets, len(written))
    kept = prompts.before_its_end(written, request.format)
    _check_kept(pair, written, kept, request)
    if len(kept) < len(written):
        try:
            shorter = request.model_copy(update={"answer_ids": tuple(kept.ids.tolist())})
            one = parted(shared_sequence(pair, shorter, report), request, request.targets, together)
        except NotAlike:
            pass  # not only the end differs
        else:
            return "tokens", Pair(one, one), (ENDED,)
    text = kept.text[: int(kept.spans[:, 1].max())]
    kept = replace(kept, text=text)
    again = prompts.encode_answer(pair[reader].tokenizer, prompt[reader], text)
    check_answer(Pair(pair[reader], pair[reader]), prompt[reader], again.ids.tolist())
    answers = Pair(kept, again) if writer == "base" else Pair(again, kept)
    sequences = prompt.zip(answers).map(lambda one: prompts.join(*one))
    spans = Pair(*(_common(pair[side], sequences[side], prompt[side], request) for side in SIDES))
    instruction = request.messages[-1].content.strip()
    return "characters", *_cut(pair, sequences, spans, instruction + text, len(instruction), request, together)


def _check_kept(pair: Pair[LanguageModel], written: Encoded, kept: Encoded, request: Explaining) -> None:
    reader = pair[other_side(request.answer_from)].facts.id
    beyond = [number for number in request.targets if number >= len(kept)]
    if beyond:
        raise Refused(
            f"The token {beyond[0]} of the answer, {written.pieces[beyond[0]]!r}, ends it and is no text that {reader} could read in its own tokens; explain a token before it, or the whole answer."
        )
    if not len(kept):
        raise Refused(
            f"The answer holds no text that {reader} could read in its own tokens, so there is nothing to explain; ask something else."
        )


def _common(model: LanguageModel, sequence: Encoded, prompt: Encoded, request: Explaining) -> np.ndarray:
    """(token, 2) int64; characters of instruction and answer, one after the other, without the space around the instruction; (-1, -1) for all other tokens."""
    instruction = request.messages[-1].content.strip()
    mine = sequence.roles == INSTRUCTION
    begin = sequence.text.find(instruction, int(sequence.spans[mine, 0].min(initial=len(sequence.text))))
    if begin < 0:
        raise Refused(
            f"The prompt of {model.facts.id} writes the instruction in other characters, so that it cannot be laid beside the other model's; choose the plain or the few-shot format."
        )
    size, answer = len(instruction), sequence.roles == ANSWER
    found = np.full((len(sequence), 2), -1, dtype=np.int64)
    found[mine] = (sequence.spans[mine] - begin).clip(0, size)
    found[answer] = size + (sequence.spans[answer] - len(prompt.text))
    found[found[:, 0] == found[:, 1]] = -1
    return found


def _cut(
    pair: Pair[LanguageModel], sequences: Pair[Encoded], spans: Pair[np.ndarray], text: str, size: int, request: Explaining, together: bool
) -> tuple[Pair[Parted], tuple[str, ...]]:  # fmt: skip
    """Both texts in parts of shared pieces; `text`: instruction, of `size` characters, and answer; `spans` (token, 2): characters in it."""
    piece_of = spans.map(lambda one: np.full(len(one), -1))
    pieces, roles = np.zeros((0, 2), np.int64), np.zeros(0, np.uint8)
    for low, high, role in ((0, size, INSTRUCTION), (size, len(text), ANSWER)):
        here = spans.map(lambda one: (one[:, 0] >= low) & (one[:, 0] < high))  # noqa: B023, used at once
        cut = prompts.shared_pieces(*(spans[side][here[side]] for side in SIDES))
        for side in SIDES if len(cut) else ():
            ends = spans[side][here[side], 1]
            piece_of[side][here[side]] = len(pieces) + np.searchsorted(cut[:, 1], ends).clip(max=len(cut) - 1)
        pieces, roles = np.concatenate([pieces, cut]), np.append(roles, np.full(len(cut), role, np.uint8))
    counts = piece_of.map(lambda one: np.bincount(one[one >= 0], minlength=len(pieces)))
    targets, rows = _target_pieces(sequences, piece_of, request)
    explained = np.isin(np.arange(len(pieces)), rows)
    several = explained & ((counts.base > 1) | (counts.tuned > 1))
    _check_several(pair, text, pieces, counts, several, request)
    closed = several.copy()
    for sequence, one in sequences.zip(piece_of).sides:
        closed[one[(one >= 0) & ~prompts.readable(sequence)]] = True
    whole = Encoded(text, np.zeros(len(pieces), np.int64), pieces, roles, closed, tuple(text[a:b] for a, b in pieces))
    parts, open_ = parts_of(whole, request, int(rows.max()))
    found = {}
    for side in SIDES:
        labels = [int(parts[piece]) if piece >= 0 and open_[parts[piece]] else None for piece in piece_of[side]]
        numbers, order = targets[side]
        found[side] = Parted(sequences[side], *numbered(labels), numbers, np.zeros_like(order) if together else order)
    return Pair(**found), _notes(several, request)


def _target_pieces(
    sequences: Pair[Encoded], piece_of: Pair[np.ndarray], request: Explaining
) -> tuple[Pair[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """(positions within the answer, row) of each side's explained tokens, and the explained piece of each row (row,)."""
    writer = request.answer_from
    answers = Pair(*(piece_of[side][sequences[side].positions("answer")] for side in SIDES))
    wanted = answers[writer] if not request.targets else answers[writer][list(request.targets)]
    rows = np.array(list(dict.fromkeys(wanted[wanted >= 0].tolist())), dtype=np.int64)
    if not len(rows):
        raise Refused("The chosen tokens write no character, so nothing of them can be laid beside the other model's tokens; explain other ones.")  # fmt: skip

    def tokens(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [(number, row) for row, piece in enumerate(rows) for number in np.flatnonzero(pieces == piece)]
        numbers, order = np.array(found, dtype=np.int64).reshape(-1, 2).T
        return numbers, order

    return answers.map(tokens), rows


def _check_several(
    pair: Pair[LanguageModel], text: str, pieces: np.ndarray, counts: Pair[np.ndarray], several: np.ndarray, request: Explaining
) -> None:  # fmt: skip
    """Refused where a piece of several tokens has no value of this kind."""
    if not several.any() or (request.quantity != "probability" and request.against is None):
        return
    piece = int(np.flatnonzero(several)[0])
    side: Side = "base" if counts.base[piece] > 1 else "tuned"
    said = f"{text[pieces[piece, 0] : pieces[piece, 1]]!r} is {counts[side][piece]} tokens for {pair[side].facts.id}"
    if request.against is not None:
        raise Refused(f"{said}, and one token is explained against one other; choose another target, nothing 'instead of' it, or the whole answer.")  # fmt: skip
    raise Refused(f"{said}, and probabilities of several tokens do not add up; choose the log-probability.")


def _notes(several: np.ndarray, request: Explaining) -> tuple[str, ...]:
    found = [
        "The two models cut this text into different tokens, each after its own prompt of the same format. What is scored and compared are pieces of text that begin and end where both have an end, each as a whole."
    ]
    if request.answer_too and several.any():
        count = int(several.sum())
        found.append(
            f"{count} explained {'piece is' if count == 1 else 'pieces are'} several tokens for one of the models: {'it stays' if count == 1 else 'they stay'} in the text, because without the first of these tokens the others would be explained by half a word."
        )
    return tuple(found)
