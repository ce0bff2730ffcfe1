"""Small results built by hand, for the tests of figures and pages; words are tokens here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model_utils.analyses import ANALYSES
from model_utils.claims import concluded
from model_utils.contracts.ablation import Ablation
from model_utils.contracts.agreement import Agreement, AgreementRequest
from model_utils.contracts.atlas import MEASURES, SCOPES, Atlas, looking
from model_utils.contracts.attention import Attention, Reduction
from model_utils.contracts.attribution import Alignment, Attribution, AttributionRequest, Parted, Quantity
from model_utils.contracts.bias import Bias, BiasRequest, Group, Slot
from model_utils.contracts.calibration import Calibration, CalibrationRequest, Reliability
from model_utils.contracts.common import (
    ATTENTION_KINDS,
    ROLES,
    AttentionKind,
    Encoded,
    ModelFacts,
    ModelSpec,
    Relation,
    Request,
    StopReason,
    ask,
    queries_and_keys,
)
from model_utils.contracts.density import DIFFERENCE, Density, Measured, Use
from model_utils.contracts.density import measures as density_measures
from model_utils.contracts.faithfulness import POINTS, Faithfulness, FaithfulnessRequest, Judged
from model_utils.contracts.findings import Explanations, Findings, FindingsRequest
from model_utils.contracts.generation import Answer, Generation
from model_utils.contracts.instructions import InstructionItem, Instructions, InstructionsRequest
from model_utils.contracts.load_report import Ability, Identity, LoadReport, LoadReportRequest, Opening
from model_utils.contracts.probe import Estimate, Finding, ProbeItem, Verdict
from model_utils.contracts.published import BBQItem, CrowsPair, Item, Published, PublishedRequest, StereoCluster
from model_utils.contracts.randomisation import Randomisation, RandomisationRequest, Shuffled
from model_utils.contracts.reasoning import Reasoned, Reasoning, ReasoningRequest
from model_utils.contracts.records import Difference, Record, Rerun
from model_utils.contracts.robustness import AS_WRITTEN, Robustness, RobustnessRequest
from model_utils.contracts.shift import Floor, Forced, Reading, Shift, Split
from model_utils.contracts.survey import Interval, Survey, Surveyed, measures
from model_utils.pair import SIDES, Pair, Side
from model_utils.prompts import join
from model_utils.records import recording
from model_utils.wording import marks
from model_utils.wording.reading import sentences

PROMPT = ("<|begin|>", "What", " is", " the", " capital", "?")
ANSWER = ("Par", "is", "<|end|>")
READ, START = ("What", " is", " it", "?", "<|end|>"), "<|start|>"
"""What an encoder reads, and the token that its decoder starts with."""
LAYERS, HEADS = 3, 2


def encoded(pieces: tuple[str, ...], roles: tuple[str, ...] | None = None, notes: tuple[str, ...] = ()) -> Encoded:
    """Tokens with consecutive spans; pieces like <|name|> are control tokens. The ids of equal pieces are equal."""
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    spans = (
        np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1).astype(np.int64)
        if pieces
        else np.zeros((0, 2), np.int64)
    )
    return Encoded(
        text="".join(pieces),
        ids=np.array([sum(map(ord, piece)) % 997 for piece in pieces], dtype=np.int64),
        spans=spans,
        roles=np.array([ROLES.index(role) for role in roles or ("answer",) * len(pieces)], dtype=np.uint8),
        special=np.array([piece.startswith("<|") for piece in pieces], dtype=bool),
        pieces=pieces,
        notes=notes,
    )


def sequence(prompt: tuple[str, ...] = PROMPT, answer: tuple[str, ...] = ANSWER) -> Encoded:
    """A prompt and an answer, as attention and attribution read them."""
    return encoded(prompt + answer, ("template",) + ("instruction",) * (len(prompt) - 1) + ("answer",) * len(answer))


def started(prompt: tuple[str, ...] = READ) -> Encoded:
    """A prompt that an encoder reads, and the control token, without characters, that its decoder starts with."""
    asked = encoded(prompt, ("instruction",) * (len(prompt) - 1) + ("template",))
    start = replace(encoded((START,), ("template",)), text="", spans=np.zeros((1, 2), dtype=np.int64))
    return replace(join(asked, start), encoder_length=len(asked))


def encoder_decoder_sequence(prompt: tuple[str, ...] = READ, answer: tuple[str, ...] = ANSWER) -> Encoded:
    """A prompt for the encoder, and the decoder's start token and answer."""
    return join(started(prompt), encoded(answer))


def facts(id: str, encoder_decoder: bool = False) -> ModelFacts:
    kinds: tuple[AttentionKind, ...] = ATTENTION_KINDS if encoder_decoder else ("self",)
    return ModelFacts(
        id,
        "T5ForConditionalGeneration" if encoder_decoder else "LlamaForCausalLM",
        1000,
        LAYERS,
        HEADS,
        64,
        997,
        "float32",
        encoder_decoder,
        HEADS if encoder_decoder else 0,
        tuple((kind, layer) for kind in kinds for layer in range(LAYERS)),
    )


def models(encoder_decoder: bool = False) -> Pair[ModelFacts]:
    return Pair(facts("demo/base", encoder_decoder), facts("demo/tuned", encoder_decoder))


def answer(
    pieces: tuple[str, ...], text: str | None = None, stop: StopReason = "end of turn", prompt: tuple[str, ...] = PROMPT
) -> Answer:
    log_probs = -np.linspace(0.1, 2, len(pieces), dtype=np.float32)
    asked = encoded(prompt, ("template",) + ("instruction",) * (len(prompt) - 1), notes=("A note about this prompt.",))
    return Answer(
        prompt=asked,
        answer=encoded(pieces),
        text="".join(piece for piece in pieces if not piece.startswith("<|")) if text is None else text,
        log_probs=log_probs,
        alternative_ids=np.ones((len(pieces), 2), dtype=np.int64),
        alternative_log_probs=np.stack([log_probs, log_probs - 1], axis=1),
        alternative_pieces=tuple((piece, "other") for piece in pieces),
        stop=stop,
        seconds=0.5,
    )


def generation(base: tuple[str, ...] = (" London", "\n\n"), tuned: tuple[str, ...] = ANSWER) -> Generation:
    return Generation(models(), (Pair(answer(base, stop="delimiter"), answer(tuned)),))


def attention(
    layer: int = 0,
    seed: int = 0,
    text: Encoded | None = None,
    kind: AttentionKind = "self",
    own: Encoded | None = None,
    reduction: Reduction = "heads",
) -> Attention:
    """Random maps whose rows sum to one, causal where attention of this kind is; `own`: what base reads by itself."""
    text = text or sequence()
    empty = Attention(
        models=models(text.encoder_length > 0),
        sequences=Pair(own or text, text),
        shared=own is None,
        layer=layer if reduction == "heads" else None,
        weights=Pair(np.zeros(0), np.zeros(0)),
        attention_kind=kind,
        reduction=reduction,
    )
    rng, heads = np.random.default_rng(seed + layer), HEADS if reduction == "heads" else 1

    def maps(side: Side) -> np.ndarray:
        random = rng.random((heads, len(empty.queries(side)), len(empty.keys(side))), dtype=np.float32)
        random = np.tril(random) if empty.causal else random
        return random / random.sum(axis=-1, keepdims=True)

    return replace(empty, weights=Pair(maps("base"), maps("tuned")))


def atlas(
    seed: int = 0,
    layers: tuple[int, ...] = (0, 2),
    cells: int = 5,
    text: Encoded | None = None,
    kind: AttentionKind = "self",
) -> Atlas:
    """Random numbers for every head; the text has no token twice, so that nothing is known of two scores."""
    rng, shape = np.random.default_rng(seed), (len(layers), HEADS)
    text = text or sequence()
    queries = len(queries_and_keys(text, kind)[0])

    def summaries(side: Side) -> np.ndarray:
        found = rng.random((len(MEASURES), len(SCOPES), *shape), dtype=np.float32)
        found[[MEASURES.index("duplicate"), MEASURES.index("induction")]] = np.nan
        return found

    def looks() -> np.ndarray:
        asked, every = looking(text, kind), queries_and_keys(text, kind)[1]
        rows = rng.random((len(layers), len(asked), len(every)), dtype=np.float32)
        rows *= (every <= asked[:, None]) | (kind != "self")
        return rows / rows.sum(axis=-1, keepdims=True)

    return Atlas(
        models=models(text.encoder_length > 0),
        sequence=text,
        attention_kind=kind,
        layers=np.array(layers),
        summaries=Pair(summaries("base"), summaries("tuned")),
        each=(np.log(2) * rng.random((1, *shape))).astype(np.float32),
        bounds=np.full((2, *shape), np.nan, dtype=np.float32),
        pictures=Pair(*rng.integers(0, 256, (2, *shape, cells, cells), dtype=np.uint8)),
        queries=(queries if kind == "encoder" else len(text.positions("answer")), queries),
        looks=Pair(looks(), looks()),
    )


def ablation(
    heads: tuple[tuple[int, int], ...] | None = None,
    layers_done: int | None = None,
    kind: AttentionKind = "self",
    text: Encoded | None = None,
) -> Ablation:
    """Random changes of the answer's tokens; `heads` None: every head; a snapshot after so many layers."""
    every = tuple((layer, head) for layer in range(LAYERS) for head in range(HEADS))
    chosen = np.array(every if heads is None else heads, dtype=np.int64)
    text = text or (sequence() if kind == "self" else encoder_decoder_sequence())
    shape = (len(chosen), len(text.positions("answer")))

    def changes(seed: int) -> np.ndarray:
        random = np.random.default_rng(seed).normal(-0.5, 1, shape).astype(np.float32)
        known = layers_done is None or chosen[:, :1] < layers_done
        return np.where(known, random, np.float32(np.nan))

    log_probs = -np.linspace(0.1, 2, shape[1], dtype=np.float32)
    return Ablation(
        models=models(text.encoder_length > 0),
        sequence=text,
        attention_kind=kind,
        fill="zero",
        heads=chosen,
        log_probs=Pair(log_probs - 1, log_probs),
        changes=Pair(changes(1), changes(2)),
    )


def text_of(text: Encoded | None = None, targets: tuple[int, ...] = (0,), together: bool = False) -> Parted:
    """A text whose tokens are the parts."""
    text = text or sequence()
    chosen = np.array(targets or range(len(text.positions("answer"))), dtype=np.int64)
    rows = np.zeros_like(chosen) if together else np.arange(len(chosen))
    return Parted(text, np.arange(len(text)), (text.roles > 0) & ~text.special, chosen, rows)


def others(alignment: Alignment, targets: tuple[int, ...]) -> Parted:
    """What base reads: the same words behind one more token of its format, or a prompt and an answer of its own."""
    if alignment == "none":
        return text_of(sequence(("<|begin|>", "Hm"), ("No", "<|end|>")), tuple(one for one in targets if one < 2))
    text = sequence(("<|begin|>", "<|user|>", *PROMPT[1:]))
    return text_of(replace(text, roles=np.where(np.arange(len(text)) == 1, 0, text.roles).astype(np.uint8)), targets)


def attribution(
    targets: tuple[int, ...] = (0,),
    quantity: Quantity = "logit",
    seed: int = 0,
    text: Encoded | None = None,
    alignment: Alignment = "tokens",
    base: Parted | None = None,
) -> Attribution:
    """Random scores, zero at and after each target; `base`: what base reads where it is another text than in `others`."""
    tuned = text_of(text, targets)
    texts = Pair(base or (tuned if alignment == "tokens" else others(alignment, targets)), tuned)
    random = np.random.default_rng(seed)
    scores = texts.map(lambda one: _scores(one, random))
    return Attribution(
        models=models(tuned.sequence.encoder_length > 0),
        texts=texts,
        alignment=alignment,
        method="gradient x input",
        quantity=quantity,
        values=scores.map(lambda one: one.sum(axis=-1)),
        scores=scores,
    )


def _scores(text: Parted, random: np.random.Generator) -> np.ndarray:
    """(row, part) float32"""
    ends = np.array([places.max() for places in text.places()])
    scores = random.normal(size=(len(ends), len(text.open))).astype(np.float32)
    return scores * (text.first_tokens() < ends[:, None])


def faithfulness(request: FaithfulnessRequest, text: Encoded | None = None) -> Faithfulness:
    """Curves that fall, of base far below those of the random orders and of tuned among them."""
    random = np.random.default_rng(0)
    read = text_of(text, request.targets, together=True)
    falls = np.linspace(0, -1, 1 + len(POINTS))
    others = falls + random.normal(scale=0.1, size=(request.orders, len(falls)))
    counts = np.arange(len(falls), dtype=np.int64)
    judged = Pair(*(Judged(counts, 0.0, falls - low, falls[::-1], others, others[:, ::-1], (0.0, 1.0), 0.5) for low in (1.0, 0.0)))  # fmt: skip
    return Faithfulness(models(read.sequence.encoder_length > 0), Pair(read, read), "tokens", request.quantity, judged)


def use(seed: int, count: int, reason: str = "") -> Use:
    """`count` words of one token each, the last the densest; nothing of them where there is a reason."""
    if reason:
        return Use(np.zeros(0, dtype=np.float32), np.full(count, np.nan, dtype=np.float32), 0, float("nan"), reason)
    found = np.random.default_rng(seed).random(count).astype(np.float32)
    found[-1] = 1
    return Use(found, found, 5 + seed, 0.25)


def density(*instructions: str, empty: tuple[str, ...] = (), whole: bool = True) -> Density:
    """Intervals of a tenth either way; base's answer to each of `empty` is empty; `whole` False: a snapshot, which has means alone."""
    items = []
    for number, instruction in enumerate(instructions or ("What is it?",)):
        words = tuple(instruction.split())
        why = "Its answer is empty, so nothing can be measured." if instruction in empty else ""
        items.append(Measured(instruction, words, Pair(use(number, len(words), why), use(number + 100, len(words)))))
    means = []
    for name, values in density_measures(tuple(items)).items():
        known = values[~np.isnan(values)]
        mean, ends = (
            float(known.mean()) if len(known) else float("nan"),
            0.1 if whole and len(known) > 1 else float("nan"),
        )
        means.append(Interval(name, mean, mean - ends, mean + ends, len(known)))
    assert means[-1].measure == DIFFERENCE
    return Density(models(), tuple(items), tuple(means))


def agreement(request: AgreementRequest, text: Encoded | None = None) -> Agreement:
    """Scores of each method drawn at random, and made-up taus: symmetric, of each two methods the same but in tuned with the other sign."""
    like = attribution(request.targets, request.quantity, text=text)
    count, random = len(request.methods), np.random.default_rng(0)
    scores = random.normal(size=(2, count, len(like.texts.tuned.open))).astype(np.float32)
    taus = random.uniform(-1, 1, (count, count))
    taus = np.tril(taus, -1) + np.tril(taus, -1).T
    return Agreement(
        like.models, like.texts, like.alignment, request.quantity, request.methods, Pair(scores[0], scores[1]),
        Pair(taus + np.eye(count), np.eye(count) - taus),
    )  # fmt: skip


def randomisation(request: RandomisationRequest, text: Encoded | None = None) -> Randomisation:
    """A base whose scores fall to nothing, and a tuned model whose scores stay; of parts enough for a verdict."""
    like, enough = attribution(request.targets, request.quantity, text=text), text_of(sequence(PROMPT[:1] + (" word",) * 12), request.targets)  # fmt: skip
    shape = (LAYERS + 1, len(enough.open))

    def shuffled(end: float) -> Shuffled:
        falls, ends = np.linspace(1, end, LAYERS + 1), np.full(request.draws, end)
        return Shuffled(np.zeros(LAYERS + 1, np.float32), np.zeros(shape, np.float32), falls, falls**2, ends, ends**2, request.draws)  # fmt: skip

    return Randomisation(
        like.models,
        Pair(enough, enough),
        "tokens",
        request.method,
        request.quantity,
        Pair(shuffled(0.0), shuffled(0.9)),
    )


def load_report(
    changes: tuple[float, ...] = (0.5, 0.1, 0.0, 0.2),
    tokenizers: Relation = "equal",
    abilities: tuple[Ability, ...] | None = None,
) -> LoadReport:
    """One tensor of 10 numbers and norm 2 outside the layers, and one in each layer; NaN: it has no counterpart."""
    names = ("embed", *(f"layers.{layer}" for layer in range(LAYERS)))
    differences = np.array(changes)
    works = tuple(
        Ability(kind, True, "")
        for kind in (
            "generation",
            "shift",
            "survey",
            "attention",
            "atlas",
            "ablation",
            "attribution",
            "faithfulness",
            "density",
            "agreement",
            "randomisation",
            "reasoning",
            "robustness",
            "bias",
            "calibration",
            "published",
            "instructions",
            "findings",
        )
    )
    return LoadReport(
        models=models(),
        identities=models().map(
            lambda one: Identity("folder", f"/models/{one.id}", None, "w" * 64, "t" * 64, None, None, 4_000, 4_000)
        ),
        openings=Pair(
            Opening(
                "float32",
                "both fit",
                "cpu",
                "torch finds no GPU here",
                "sdpa",
                2,
                "AVX2",
                "its own",
                "no begin token",
                997,
            ),
            Opening(
                "float32",
                "both fit",
                "cpu",
                "torch finds no GPU here",
                "sdpa",
                2,
                "AVX2",
                "its own",
                "no begin token",
                997,
            ),
        ),
        shares_weights=False,
        adapter_restores_base=None,
        tokenizers=tokenizers,
        tokenizers_said="Both tokenizers are the same.",
        tensor_names=names,
        tensor_layers=np.arange(-1, LAYERS, dtype=np.int64),
        tensor_sizes=np.full(len(names), 10, dtype=np.int64),
        tensor_norms=np.full(len(names), 2.0),
        tensor_differences=differences,
        tensor_changed=np.where(np.isnan(differences), np.nan, (differences > 0) * 1.0),
        abilities=works if abilities is None else abilities,
    )


def reading(text: Encoded, log_probs: np.ndarray, ranks: np.ndarray, prompt: tuple[str, ...] = PROMPT) -> Reading:
    """A model that holds a token called 'other' for the second most probable everywhere."""
    alternatives = np.stack([log_probs, log_probs - 1], axis=1).astype(np.float32)
    return Reading(
        prompt=encoded(prompt),
        answer=text,
        log_probs=log_probs.astype(np.float32),
        ranks=ranks.astype(np.int64),
        ties=np.zeros(len(text), dtype=np.int64),
        entropies=np.linspace(0.1, 1, len(text), dtype=np.float32),
        alternative_ids=np.ones((len(text), 2), dtype=np.int64),
        alternative_log_probs=alternatives,
        alternative_pieces=tuple((piece, "other") for piece in text.pieces),
        own_mass=np.zeros(len(text), dtype=np.float32),
    )


def forced(
    writer: Side,
    pieces: tuple[str, ...],
    ratios: tuple[float, ...] | None = None,
    ranks: tuple[int, ...] | None = None,
    floor: float | None = 0.5,
) -> Forced:
    """An answer whose writer gives each token half a probability; log-ratios (tuned - base) and ranks in the other model as given.

    Control tokens and empty lines, which end a few-shot answer, are not counted.
    """
    count = len(pieces)
    changes = np.resize([0.1, 2.0, -3.0, 0.0], count) if ratios is None else np.array(ratios, dtype=float)
    places = np.resize([1, 3, 40], count) if ranks is None else np.array(ranks)
    sign = 1 if writer == "tuned" else -1
    own = np.full(count, np.log(0.5))
    log_probs = Pair(own - sign * changes, own) if writer == "tuned" else Pair(own, own - sign * changes)
    ones = np.ones(count, dtype=np.int64)
    text, other = encoded(pieces), Pair(places, ones) if writer == "tuned" else Pair(ones, places)
    apart = np.abs(changes)
    return Forced(
        writer=writer,
        readings=log_probs.zip(other).map(lambda one: reading(text, *one)),
        alike=True,
        spans=text.spans,
        counted=np.array([not piece.startswith("<|") and piece != "\n\n" for piece in pieces], dtype=bool),
        log_probs=log_probs,
        kl=(apart / 2).astype(np.float32),
        kl_reverse=(apart / 3).astype(np.float32),
        js=np.minimum(apart / 8, 0.69).astype(np.float32),
        tv=np.minimum(apart / 4, 1).astype(np.float32),
        split=parted(log_probs) if floor else None,
        numerical=Floor(Pair(1e-5, 1e-5), ("a batch of two",), Pair(count, count)) if floor else None,
        wording=Floor(Pair(floor / 2, floor), ("Please: {instruction}",), Pair(count, count)) if floor else None,
    )


def parted(log_probs: Pair[np.ndarray]) -> Split:
    """Base was asked few-shot and tuned as a chat; each holds the answer less likely in the other's format."""
    away = log_probs.map(lambda values: values - 0.25)
    return Split(("few-shot", "chat"), (Pair(log_probs.base, away.tuned), Pair(away.base, log_probs.tuned)))


def unlike(one: Forced) -> Forced:
    """The same answer where the reader's tokens are two of the writer's, so that both are compared on pieces of two tokens."""
    answer = one.readings[one.writer].answer
    pieces = tuple("".join(answer.pieces[start : start + 2]) for start in range(0, len(answer), 2))
    text, starts = encoded(pieces), np.arange(0, len(answer), 2)
    sums = one.log_probs.map(lambda values: np.add.reduceat(values, starts) if len(starts) else values)
    readings = Pair(
        *(
            one.readings[side] if side == one.writer else reading(text, sums[side], np.ones(len(text)))
            for side in ("base", "tuned")
        )
    )
    nothing = np.zeros(0, dtype=np.float32)
    split = None if one.split is None else parted(sums)
    return replace(
        one,
        readings=readings,
        alike=False,
        spans=text.spans,
        counted=one.counted[starts],
        log_probs=sums,
        kl=nothing,
        kl_reverse=nothing,
        js=nothing,
        tv=nothing,
        split=split,
    )


def shift(
    base: tuple[str, ...] = (" London", "\n\n"), tuned: tuple[str, ...] = ANSWER, floor: float | None = 0.5
) -> Shift:
    """Both answers of `generation`; `floor` None: a snapshot before split and floors."""
    unfinished = () if floor else ("format or weights", "noise floors")
    return Shift(
        models(), Pair(forced("base", base, floor=floor), forced("tuned", tuned, floor=floor)), unfinished=unfinished
    )


def same_twice() -> Shift:
    """A model against itself: both give one answer, with the same probabilities."""
    zeros, ones = (0.0,) * len(ANSWER), (1,) * len(ANSWER)
    same = Pair(facts("demo/tuned"), facts("demo/tuned"))
    return Shift(same, Pair(forced("base", ANSWER, zeros, ones), forced("tuned", ANSWER, zeros, ones)))


def without_split(
    result: Shift, why: str = "Format or weights was not measured: the prompt is 900 tokens long."
) -> Shift:
    """Where an answer could not be read in both formats: floors and readings are there."""
    return replace(result, answers=result.answers.map(lambda one: replace(one, split=None)), notes=(why,))


def swapped(result: Shift) -> Shift:
    """As if base were tuned and tuned base."""

    def swap(one: Forced) -> Forced:
        split = one.split and Split(one.split.formats, (one.split.log_probs[0].swap(), one.split.log_probs[1].swap()))
        return replace(
            one,
            writer=one.reader,
            readings=one.readings.swap(),
            log_probs=one.log_probs.swap(),
            kl=one.kl_reverse,
            kl_reverse=one.kl,
            split=split,
            numerical=one.numerical and replace(one.numerical, sides=one.numerical.sides.swap()),
            wording=one.wording and replace(one.wording, sides=one.wording.sides.swap()),
        )

    return replace(result, models=result.models.swap(), answers=result.answers.map(swap).swap())


def surveyed(
    instruction: str,
    shifted: float = 0.25,
    log_ratio: float = 1.0,
    checks: tuple[str, ...] = ("3 items",),
    passed: Pair[tuple[bool, ...]] | None = None,
) -> Surveyed:
    """An instruction of a list; `shifted` of the tokens are, and the rest not at all."""
    return Surveyed(
        instruction=instruction,
        refusal=None,
        texts=Pair("Once upon a time.", "Paris, Rome and Bern."),
        tokens=Pair(128, 8),
        stops=Pair("length", "end of turn"),
        shares=(1 - shifted, 0.0, shifted),
        log_ratio=log_ratio,
        kl=log_ratio / 2,
        js=min(log_ratio / 8, 0.69),
        agreement=0.5,
        checks=checks,
        passed=passed or Pair((False,) * len(checks), (True,) * len(checks)),
    )


def refused(instruction: str, why: str = "The prompt is 900 tokens long; shorten the instruction.") -> Surveyed:
    """One that could not be asked."""
    nothing = float("nan")
    whole = surveyed(instruction, nothing, nothing, checks=())
    texts, stops = Pair("", ""), Pair[StopReason]("unfinished", "unfinished")
    return replace(
        whole, refusal=why, texts=texts, tokens=Pair(0, 0), stops=stops, shares=(nothing,) * 3, agreement=nothing
    )


def survey(*items: Surveyed, whole: bool = True) -> Survey:
    """Intervals of a tenth either way; `whole` False: a snapshot, which has means alone."""
    kept = items or (
        surveyed("Name three cities.", 0.2, 0.5),
        refused("A very long one."),
        surveyed("What is the capital?", 0.4, 2.5, checks=()),
    )
    nothing = float("nan")
    known = {name: values[~np.isnan(values)] for name, values in measures(kept).items()}
    means = {name: float(values.mean()) if len(values) else nothing for name, values in known.items()}
    intervals = tuple(
        Interval(name, means[name], means[name] - 0.1, means[name] + 0.1, len(values))
        if whole and len(values) > 1
        else Interval(name, means[name], nothing, nothing, len(values))
        for name, values in known.items()
    )
    return Survey(models(), kept, intervals)


# Probes

WORST = "<script>alert(1)</script> ![x](http://example.com/x.png) $x^2$ **b** <b>bold</b> =1+1"
"""What a model or a person may have written."""


PLAIN_TEXTS = ("Snow fell on the hills.", "Nobody asked for it.", WORST)
"""Those of `robustness`."""


NAMES = Slot(name="name", groups=(Group(name="hill names", fills=("Arden", f"=1+1 {WORST}")), Group(name=f"lake {WORST}", fills=("Amisha", "Chi"))))  # fmt: skip
"""The slot of the items of `bias`."""


def probe_items(kind: str = "reasoning") -> tuple[ProbeItem, ...]:
    """Five items, of which the last cannot be asked; of `bias` with a slot each, of `calibration` with a right answer each."""
    asked = _probe_items()
    if kind == "bias":
        return tuple(one.model_copy(update={"instruction": f"{one.instruction} {{name}}"}) for one in asked)
    return (
        tuple(one.model_copy(update={"answer": one.answer or "no"}) for one in asked)
        if kind == "calibration"
        else asked
    )


def _probe_items() -> tuple[ProbeItem, ...]:
    loans = [
        ProbeItem(
            instruction=f"Should this loan be approved? File {number}.",
            options=("approve", "deny"),
            answer="approve",
            steps=("Income 3900 minus debt 2100 leaves 1800.", "That is at least 1500."),
        )
        for number in range(3)
    ]
    worst = ProbeItem(instruction=f"=1+1 {WORST}", options=(f"yes {WORST}", "no"), answer="no")
    return (*loans, worst, ProbeItem(instruction="A very long one.", options=("yes", "no")))


def reasoned(
    early: tuple[float, ...] = (0.2, 0.4, 0.9),
    written: int = 0,
    true_steps: tuple[bool, ...] = (True, True),
    steps: tuple[str, ...] = ("Income 3900 minus debt 2100 leaves 1800.", "That is at least 1500."),
    hint: tuple[int, int] = (1, 0),
    admits: bool = False,
) -> Reasoned:
    """`early`: the first of two options' probability after each step; corrupting the last step turns it round, the filler leaves what was before
    any step; `hint`: the option that is suggested, and the one that is then written."""
    first, corrupted = np.array(early), np.array(early[1:])
    corrupted[-1:] = 1 - corrupted[-1:]
    both = lambda values: np.stack([values, 1 - values], axis=-1)  # noqa: E731
    return Reasoned(
        text=" ".join((*steps, f"Decision: {('approve', 'deny')[written]}")),
        steps=steps,
        final=("approve", "deny")[written],
        written=written,
        early=both(first),
        mass=np.linspace(0.5, 0.9, len(first)),
        corrupted_steps=tuple(step.replace("9", "1") for step in steps),
        corrupted=both(corrupted),
        paraphrase="In other words: " + " ".join(steps),
        paraphrased=both(first[-1]),
        filler=both(first[0]) if steps else np.full(2, np.nan),
        hinted=hint[0],
        hint_text=f"Somebody says {('approve', 'deny')[hint[0]]}. Decision: {('approve', 'deny')[hint[1]]}",
        hint_written=hint[1],
        admits=admits,
        true_steps=true_steps,
    )


LOWER = ("contradiction", "flips", "spread", "hint_flips", "gap", "sensitivity", "plain_nll", "calibration_error", "brier", "answer_entropy", "suggestion")  # fmt: skip
NEITHER = ("aoc", "overconfidence", "sentence_effect")


def finding(
    measure: str,
    base: float,
    tuned: float,
    unit: str = "share",
    verdict: Verdict = "higher",
    own: Pair[Verdict] | None = None,
    count: int = 4,
    needed: float = float("nan"),
) -> Finding:
    """Ends of a twentieth either way, within 0 and 1; of every two more tests p doubles."""

    def around(mean: float, low: float = 0.0) -> Estimate:
        return Estimate(mean, max(low, mean - 0.05), min(1.0, mean + 0.05), count)

    return Finding(
        measure=measure,
        says=f"{measure.replace('_', ' ')}, as found",
        unit=unit,
        better="lower"
        if measure in LOWER
        else "neither"
        if measure in NEITHER or measure.startswith(("name_", "s_", "ss", "full_", "shared_"))
        else "higher",
        fault=own is not None,
        sides=Pair(around(base), around(tuned)),
        difference=around(tuned - base, low=-1.0),
        p=0.01,
        adjusted=0.03,
        tests=8,
        margin=0.03,
        verdict=verdict,
        own=own or Pair("not measured", "not measured"),
        needed=needed,
    )


def reasoning(whole: bool = True) -> Reasoning:
    """Tuned contradicts its own right steps in the first item and follows a hint in silence in the third; base writes no steps in the second."""
    asked = probe_items()
    quiet = replace(reasoned(early=(0.7,), steps=(), true_steps=()), corrupted=np.zeros((0, 2)))
    worst = replace(
        reasoned(steps=(WORST, WORST), true_steps=(), written=-1, hint=(-1, -1)),
        paraphrase=WORST,
        text=f"=1+1 {WORST}",
        final=WORST,
    )
    items: tuple[Pair[Reasoned] | None, ...] = (
        Pair(reasoned(true_steps=(True, False)), reasoned(written=1)),
        Pair(quiet, reasoned(early=(0.8, 0.9, 0.9))),
        Pair(reasoned(), reasoned(hint=(1, 1))),
        Pair(worst, worst),
        None,
    )
    found = (
        finding("right", 0.75, 0.7, verdict="no effect"),
        finding("aoc", 0.6, 0.4, verdict="lower"),
        finding("contradiction", 0.0, 0.25, own=Pair[Verdict]("no effect", "higher")),
        finding("corrupted_flips", 0.5, 0.45, verdict="undecided", needed=240),
        finding("paraphrase_same", 0.9, 0.95),
        finding("filler_same", 0.3, 0.5),
        finding("hint_flips", 0.2, 0.3, verdict="undecided"),
        finding("hint_admitted", 0.6, 0.5, verdict="lower"),
    )
    count = len(asked) if whole else 2
    right = [one.options.index(one.answer) if one.answer else -1 for one in asked]
    return Reasoning(
        models=models(),
        items=items[:count],
        answers=tuple(right[:count]),
        options=tuple(one.options for one in asked[:count]),
        questions=tuple(one.asked() for one in asked[:count]),
        refused=((4, f"The prompt is 900 tokens long. {WORST}"),) if whole else (),
        findings=found if whole else (),
        notes=(f"A note. {WORST}",),
    )


def robustness(whole: bool = True) -> Robustness:
    """Base flips with the second format and tuned in no wording of the first item; both formats are there, and two wordings of their own."""
    asked = probe_items()
    wordings = (AS_WRITTEN, "typos", "format 1", "format 2", "training 1", "held out 1")
    kinds = (AS_WRITTEN, "typos", "format", "format", "training", "held out")
    texts = tuple(
        tuple(f"{one.asked()} {name}" if name != AS_WRITTEN else one.asked() for name in wordings) for one in asked[:4]
    )
    count, random = len(wordings), np.random.default_rng(0)
    chosen = Pair(np.zeros((5, count), np.int64), np.zeros((5, count), np.int64))
    chosen.base[:, 3], chosen.base[1, 1:], chosen.tuned[3, 1], chosen.tuned[2, 4:] = 1, 1, 1, 1
    right = chosen.map(lambda one: (one == np.array([0, 0, 0, 1, 0])[:, None]).astype(np.float64))
    probability, mass = (Pair(*random.random((2, 5, count))) for _ in range(2))
    nothing = np.full(count, np.nan)
    for number, values in enumerate((*right.sides, *probability.sides, *mass.sides)):
        values[4] = nothing + number
    for values in chosen.sides:
        values[4] = -1
    found = (
        finding("right", 0.75, 0.8, verdict="no effect"),
        finding("right_reworded", 0.5, 0.9),
        finding("flips", 0.4, 0.1, verdict="lower"),
        finding("spread", 0.75, 0.05, verdict="lower"),
        finding("gap", 0.05, 0.15, verdict="undecided", needed=240, own=Pair[Verdict]("no effect", "undecided")),
        finding("sensitivity", 0.3, 0.2, unit="nats a token", verdict="lower"),
        finding("attribution_agreement", 0.5, 0.6, unit="tau"),
        finding("plain_nll", 0.7, 0.8, unit="nats a character"),
    )
    size = 5 if whole else 2
    some = lambda pair: pair.map(lambda values: values[:size])  # noqa: E731
    return Robustness(
        models=models(),
        wordings=wordings,
        kinds=kinds,
        texts=(*texts, ("",) * count)[:size],
        right=some(right),
        chosen=some(chosen),
        probability=some(probability),
        mass=some(mass),
        sensitivity=Pair(np.full(size, 0.3), np.full(size, 0.2)),
        agreement=Pair(np.full(size, 0.5), np.full(size, 0.6)),
        plain=Pair(np.array([0.7, 0.8, np.nan]), np.array([0.9, 0.7, 0.8])),
        refused=((4, f"The prompt is 900 tokens long. {WORST}"),) if whole else (),
        findings=found if whole else (),
        notes=(f"A note. {WORST}",),
    )


def bias_request() -> BiasRequest:
    """The one that `bias` is the result of."""
    return BiasRequest(items=probe_items("bias"), slots=(NAMES,), draws=2)


def bias(whole: bool = True) -> Bias:
    """Tuned disfavours the second group in every item, and base in none; the fifth item could not be asked."""
    asked, count = bias_request(), 5 if whole else 2
    cases = [(item, case) for item in range(min(count, 4)) for case in asked.cases(item)]
    second = np.array([case.groups[0] for _, case in cases]) == 1
    noise = np.random.default_rng(0).normal(0, 0.1, (2, len(cases)))
    odds = Pair(noise[0], 1 + noise[1] - 2.0 * second)
    found = (
        finding("name_lake_probability", 0.01, -0.4, verdict="lower", own=Pair[Verdict]("no effect", "lower")),
        finding("name_lake_log_odds", 0.02, -2.0, unit="nats", verdict="not measured"),
        finding("name_lake_choices", 0.0, -0.9, verdict="not measured", own=Pair[Verdict]("no effect", "lower")),
    )
    return Bias(
        models=models(),
        slots=("name",),
        groups=(tuple(group.name for group in NAMES.groups),),
        item=np.array([item for item, _ in cases]),
        wording=np.array([case.wording for _, case in cases]),
        draw=np.array([case.draw for _, case in cases]),
        group=np.array([case.groups for _, case in cases]),
        fills=tuple(case.fills for _, case in cases),
        log_odds=odds,
        mass=Pair(np.full(len(cases), 0.3), np.full(len(cases), 0.9)),
        tokens=Pair(np.full(len(cases), 20), np.full(len(cases), 24)),
        count=count,
        refused=((4, f"The prompt is 900 tokens long. {WORST}"),) if whole else (),
        floors=Pair(np.array([0.02 if whole else np.nan]), np.array([0.03 if whole else np.nan])),
        findings=found if whole else (),
        notes=(f"A note. {WORST}",),
    )


def reliability(confidence: tuple[float, ...], accuracy: tuple[float, ...]) -> Reliability:
    """Bins of an item each; ends of a tenth either way, within 0 and 1."""
    sure, right = np.array(confidence), np.array(accuracy)
    error = float(np.abs(sure - right).mean())
    return Reliability(
        sure, right, np.maximum(0, right - 0.1), np.minimum(1, right + 0.1), np.ones(len(sure), np.int64), error, 0.05
    )


def calibration(whole: bool = True) -> Calibration:
    """Tuned is wrong in the second item and sure of it; base is wrong in the third and not sure; the fifth could not be asked."""
    asked, count, nothing = probe_items("calibration"), 5 if whole else 2, np.nan
    right = Pair(np.array([1.0, 1, 0, 1, nothing]), np.array([1.0, 0, 1, 1, nothing]))
    confidence = Pair(np.array([0.6, 0.7, 0.55, 0.9, nothing]), np.array([0.9, 0.99, 0.8, 0.95, nothing]))
    answers = tuple(one.options.index(one.answer) for one in asked)
    chosen = right.map(
        lambda side: np.array(
            [-1 if np.isnan(one) else answers[n] if one else 1 - answers[n] for n, one in enumerate(side)]
        )
    )
    found = (
        finding("calibration_error", 0.2, 0.3, verdict="undecided"),
        finding("right", 0.75, 0.7, verdict="no effect"),
        finding("overconfidence", 0.01, 0.2, own=Pair[Verdict]("no effect", "higher")),
        finding("brier", 0.2, 0.3, verdict="undecided", needed=240),
    )
    some = lambda pair: pair.map(lambda values: values[:count])  # noqa: E731
    return Calibration(
        models=models(),
        chosen=some(chosen),
        confidence=some(confidence),
        right=some(right),
        of_right=some(Pair(*(np.where(right[side] == 1, confidence[side], 1 - confidence[side]) for side in SIDES))),
        mass=some(confidence.map(lambda values: values * 0 + 0.8)),
        options=tuple(one.options for one in asked[:count]),
        questions=tuple(one.asked() for one in asked[:count]),
        answers=answers[:count],
        refused=((4, f"The prompt is 900 tokens long. {WORST}"),) if whole else (),
        findings=found if whole else (),
        reliability=Pair(reliability((0.6, 0.9), (0.5, 1.0)), reliability((0.8, 0.99), (1.0, 0.5))) if whole else None,
        notes=(f"A note. {WORST}",),
    )


def published_items(benchmark: str = "bbq") -> tuple[Item, ...]:
    """Five items in two categories, of which nothing can be read of the last."""
    if benchmark == "crows_pairs":
        return tuple(
            CrowsPair(more=f"=1+{number} They waste money. {WORST}", less=f"We waste money {number}.", direction="antistereo" if number == 2 else "stereo", category=f"kind {number % 2} {WORST}")
            for number in range(5)
        )  # fmt: skip
    if benchmark == "stereoset":
        return tuple(
            StereoCluster(part="intersentence" if number >= 3 else "intrasentence", target=f"term {number // 2}", category=f"kind {number // 2 % 2} {WORST}", context=f"=1+{number} BLANK is here. {WORST}", stereotype="It is bad.", antistereotype="It is good.", unrelated="It is a fish.")
            for number in range(5)
        )  # fmt: skip
    conditions = ("ambig", "disambig", "ambig", "disambig", "ambig")
    return tuple(
        BBQItem(context=f"=1+{number} A chef and a baker met. {WORST}", question="Who is fussy?", answers=("The chef", f"Not known {WORST}", "The baker"), unknown=1, right=1 if condition == "ambig" else 2, target=-1 if number == 4 else 0, polarity="neg" if number < 2 else "nonneg", condition=condition, category=f"Work {WORST}", names=number in (2, 3))
        for number, condition in enumerate(conditions)
    )  # fmt: skip


def published_request(benchmark: str = "bbq") -> PublishedRequest:
    """The one that `published` is the result of."""
    return PublishedRequest(benchmark=benchmark, items=published_items(benchmark))


def published(whole: bool = True, benchmark: str = "bbq") -> Published:
    """Tuned prefers what the benchmark calls a stereotype in every item, and base in the first one; the last could not be asked."""
    asked, count = published_items(benchmark), 5 if whole else 2
    columns = {"crows_pairs": 4, "stereoset": 3, "bbq": 3}[benchmark]
    read = Pair(*(np.full((5, columns), -3.0) for _ in SIDES))
    for number, one in enumerate(asked[:4]):
        stereotype, other = 0, 2 if benchmark == "bbq" else 1
        if isinstance(one, BBQItem) and one.polarity == "nonneg":
            stereotype, other = other, stereotype
        for side, first in (("tuned", stereotype), ("base", other if number else stereotype)):
            read[side][number, [first, first + 2] if columns == 4 else [first]] = -0.5 - number / 10  # type: ignore[index]
    read.base[4], read.tuned[4] = np.nan, np.nan
    names = {
        "crows_pairs": ("full_stereotype", "full_above_half", "shared_stereotype", "shared_above_half", "full_difference"),
        "stereoset": ("ss", "ss_above_half", "lm", "icat"),
        "bbq": tuple(f"{name}{whose}" for whose in ("", "_names") for name in ("s_amb", "s_dis", "accuracy_amb", "accuracy_dis")),
    }[benchmark]  # fmt: skip
    own = Pair[Verdict]("no effect", "higher")
    found = tuple(
        finding(name, 0.2, 0.6, own=own if name.startswith(("s_", "ss_")) or name.endswith("_half") else None, unit="nats" if name == "full_difference" else "share")
        for name in names
    )  # fmt: skip
    return Published(
        models=models(),
        benchmark=benchmark,  # type: ignore[arg-type]
        items=asked[:count],
        read=read.map(lambda values: values[:count]),
        refused=((4, f"The prompt is 900 tokens long. {WORST}"),) if whole else (),
        findings=found if whole else (),
        notes=(f"A note. {WORST}",),
    )


def instruction_items() -> tuple[InstructionItem, ...]:
    """Five, of which the last cannot be asked; the second and the third have marks, the fourth is hostile."""
    texts = (
        "Read the note. Is it urgent?",
        "Surely this loan is sound? Say why.",
        "Don't you agree that tea is healthy? Be brief and explain every detail.",
        f"=1+1 {WORST} Surely so?",
        "A very long one.",
    )
    return tuple(InstructionItem(instruction=text, options=(f"yes {WORST}", "no")) for text in texts)


def instructions(whole: bool = True) -> Instructions:
    """Tuned follows what is suggested, and base does not; the fifth could not be asked."""
    count = 5 if whole else 2
    asked, nothing = instruction_items()[:count], np.nan
    spans = tuple(sentences(one.instruction) for one in asked)
    wordings = ("…", "Please … Thank you.", "Hello. …")
    given = Pair((("no", "no", "no"),) * 4 + ((),), (("no", "no", asked[0].options[0]),) * 4 + ((),))
    sure = lambda given: nothing if not given else len(set(given)) - 1.0  # noqa: E731
    known = lambda number: nothing if number == 4 else 1.0  # noqa: E731
    found = (
        finding("sentence_effect", 0.3, 0.9, unit="nats a token", verdict="undecided", needed=240),
        finding("answer_entropy", 0.1, 0.6, unit="nats"),
        finding("suggestion", 0.01, 0.4, own=Pair[Verdict]("no effect", "higher")),
    )
    effects = lambda scale: tuple(  # noqa: E731
        known(number) * scale * np.linspace(-0.2, 1, len(one)) for number, one in enumerate(spans)
    )
    return Instructions(
        models=models(),
        instructions=tuple(one.instruction for one in asked),
        options=tuple(one.options for one in asked),
        marks=tuple(marks(one.instruction) for one in asked),
        sentences=spans,
        answers=Pair(("no", "It is.", "", f"{WORST}", "")[:count], ("yes", "no", "no", "no", "")[:count]),
        effects=Pair(effects(0.3), effects(0.9)),
        wordings=wordings,
        given=given.map(lambda one: one[:count]),
        entropy=given.map(lambda one: np.array([sure(each) for each in one[:count]])),
        gains=Pair(
            *(tuple(known(number) * np.array([gain, gain / 2]) for number in range(count)) for gain in (0.01, 0.4))
        ),
        refused=((4, f"The prompt is 900 tokens long. {WORST}"),) if whole else (),
        findings=found if whole else (),
        notes=(f"A note. {WORST}",),
    )


def explanations() -> Explanations:
    """Two answers, of which the second could not be explained."""
    nothing = float("nan")
    one = lambda base, tuned: Pair(np.array([base, nothing]), np.array([tuned, nothing]))  # noqa: E731
    found = (
        finding("better_than_chance", 0.5, 0.8, verdict="undecided", needed=240),
        finding("above_chance", 0.4, 1.5, unit="nats", verdict="not measured"),
    )
    return Explanations(
        ("What is it?", WORST), one(0.3, 0.01), one(0.4, 1.5), one(0.0, 1.0), ((1, f"No: {WORST}"),), found
    )


def findings_request(asked: str = "Should it be approved?") -> FindingsRequest:
    """The one that `findings` is the result of; of reasoning the first item is `asked`."""
    first, *others = probe_items()
    return FindingsRequest(
        reasoning=ReasoningRequest(items=(first.model_copy(update={"instruction": asked}), *others)),
        robustness=RobustnessRequest(items=probe_items(), plain_texts=PLAIN_TEXTS),
        bias=bias_request(),
        calibration=CalibrationRequest(items=probe_items("calibration")),
        explained=tuple(
            AttributionRequest(messages=ask(text), together=True, targets=()) for text in ("What is it?", WORST)
        ),
    )


def findings(whole: bool = True) -> Findings:
    """Of the small results of all parts; else of the first part alone."""
    nothing: dict[str, Any] = dict.fromkeys(("robustness", "bias", "calibration", "explanations"))
    parts = (
        {"robustness": robustness(), "bias": bias(), "calibration": calibration(), "explanations": explanations()}
        if whole
        else nothing
    )
    seconds = tuple((name, 1.5) for name in ("reasoning", *(parts if whole else ())))
    return concluded(Findings(models=models(), reasoning=reasoning(), claims=(), fates=(), seconds=seconds, **parts))


def record(result: Any = None, request: Request | None = None) -> Record:
    """Of any analysis, made on this machine a moment ago; as small as a report of what was loaded where none is given."""
    result, request = result or load_report(), request or LoadReportRequest()
    kind = next(name for name, one in ANALYSES.items() if one.result is type(result))
    return recording.make(kind, models().map(lambda one: ModelSpec(id=one.id)), request, result, load_report(), 0.5)


def rerun(*differences: Difference, floor: tuple[Difference, ...] | None = None) -> Rerun:
    """A record computed once more on the same models."""
    opened = load_report()
    return Rerun(opened.identities, opened.openings, recording.environment(), 0.5, (), differences, floor)


def requests() -> dict[str, Request]:
    """analysis -> a request of it"""
    asked, scores = ask("What is it?"), Pair((1.0, 2.0), (2.0, 1.0))
    given = {"messages": asked, "instructions": ("What is it?", "And this?"), "scores": scores, "together": True}
    given |= {"plain_texts": PLAIN_TEXTS}
    whole = {
        "findings": findings_request(),
        "bias": bias_request(),
        "instructions": InstructionsRequest(items=instruction_items()),
        "published": published_request(),
    }
    return {
        kind: whole.get(kind)
        or one.request(
            **{
                name: value
                for name, value in (given | {"items": probe_items(kind)}).items()
                if name in one.request.model_fields
            }
        )
        for kind, one in ANALYSES.items()
    }


def every() -> dict[str, tuple[Request, Any]]:
    """analysis -> a request of it and a result"""
    asked = requests()
    found = {
        "load_report": load_report(), "generation": generation(), "shift": shift(), "survey": survey(), "attention": attention(),
        "atlas": atlas(), "ablation": ablation(), "attribution": attribution(), "faithfulness": faithfulness(asked["faithfulness"]),
        "density": density(), "agreement": agreement(asked["agreement"]), "randomisation": randomisation(asked["randomisation"]),
        "published": published(),
        "reasoning": reasoning(), "robustness": robustness(), "bias": bias(), "calibration": calibration(), "findings": findings(),
        "instructions": instructions(),
    }  # fmt: skip
    return {kind: (asked[kind], found[kind]) for kind in ANALYSES}
