"""The causal check: attention heads switched off one at a time, and what that does to an answer's log-probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import nn

from model_utils import anatomy, capture
from model_utils.contracts.ablation import Ablation, AblationRequest, Fill, Heads
from model_utils.contracts.common import AttentionKind, Encoded, ModelFacts
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.loading import LanguageModel
from model_utils.network import PROBE
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from model_utils.shift import Pass

BATCH_BYTES = 300 << 20
"""What the texts of one batch may take, about."""
ALIVE = 24
"""Values a token, in widths of the model, that are alive within a layer: seven of the attention's, the rest in a network four times as wide."""


def ablation(pair: Pair[LanguageModel], request: AblationRequest, report: Report) -> Ablation:
    """Each head off by itself in both models; a snapshot after each layer."""
    heads, notes = _heads(pair, request.attention_kind, request.heads)
    sequence = shared_sequence(pair, request, report)
    report(ANSWER_SHARE, "reading the answer with every head on")
    readers = pair.map(lambda model: Reader(model, sequence, request.attention_kind, request.fill, report))
    whole = readers.map(Reader.log_probs)
    found = Ablation(
        models=pair.map(lambda model: model.facts),
        sequence=sequence,
        attention_kind=request.attention_kind,
        fill=request.fill,
        heads=np.array(heads, dtype=np.int64),
        log_probs=whole.map(lambda values: values.astype(np.float32)),
        changes=whole.map(lambda values: np.full((len(heads), len(values)), np.nan, dtype=np.float32)),
        notes=notes,
    )
    layers = np.unique(found.heads[:, 0])
    for done, layer in enumerate(layers.tolist(), start=1):
        rows = np.flatnonzero(found.heads[:, 0] == layer)
        off = found.heads[rows, 1].tolist()
        changes = found.changes.map(np.copy)
        for side in SIDES:
            changes[side][rows] = readers[side].without(layer, off) - whole[side]
        found = replace(found, changes=changes)
        report(ANSWER_SHARE + (1 - ANSWER_SHARE) * done / len(layers), f"layer {done} of {len(layers)}", found)
    return found


# --- which heads ------------------------------------------------------------------------------------------------------


def _heads(pair: Pair[LanguageModel], kind: AttentionKind, asked: Heads | None) -> tuple[Heads, tuple[str, ...]]:
    """(layer, head) of what is switched off, and what there is to say of it."""
    pair.map(lambda model: capture.check_kind(model, kind))
    facts = pair.map(lambda model: model.facts)
    if asked is not None:
        facts.map(lambda one: _check_heads(one, kind, asked))
        return asked, ()
    every = facts.map(lambda one: _every(one, kind))
    both = tuple(head for head in every.base if head in set(every.tuned))
    if not both:
        raise Refused(
            f"{facts.base.id} and {facts.tuned.id} have attention of the kind '{kind}' in no layer that is the same, so no head can be switched off in both."
        )
    if both == every.base == every.tuned:
        return both, ()
    counts = " and ".join(f"{one.id} has {len(every[side])}" for side, one in facts.items())
    return both, (f"Only the {len(both)} heads that both models have are switched off: {counts}.",)


def _every(facts: ModelFacts, kind: AttentionKind) -> Heads:
    return tuple((layer, head) for layer in facts.attention_layers(kind) for head in range(facts.heads_of(kind)))


def _check_heads(facts: ModelFacts, kind: AttentionKind, asked: Heads) -> None:
    layers, count = facts.attention_layers(kind), facts.heads_of(kind)
    for layer, head in asked:
        if layer not in layers:
            listed = f"0 to {layers[-1]}" if layers == tuple(range(len(layers))) else ", ".join(map(str, layers))
            raise Refused(
                f"{facts.id} has no attention of the kind '{kind}' in layer {layer}; its layers with it are {listed}."
            )
        if head >= count:
            raise Refused(f"{facts.id} has no head {head} in layer {layer}; its heads there are 0 to {count - 1}.")


# --- passes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Reader:
    """One model that reads the same prompt and answer again and again, with one head or another switched off."""

    model: LanguageModel
    sequence: Encoded
    kind: AttentionKind
    fill: Fill
    report: Report

    def log_probs(self) -> np.ndarray:
        """(token,) float64; nats; of the answer with every head on."""
        return self._pass(nullcontext(), 1)[0]

    def without(self, layer: int, heads: Sequence[int]) -> np.ndarray:
        """(head, token) float64; nats; of the answer with each of these heads off by itself: in a batch it is a text of its own."""
        size = max(1, BATCH_BYTES // self._text_bytes)
        groups = [heads[start : start + size] for start in range(0, len(heads), size)]
        return np.concatenate([self._pass(self._off(layer, group), len(group)) for group in groups])

    def _pass(self, off: AbstractContextManager[None], texts: int) -> np.ndarray:
        """(text, token) float64; the last token of the answer is predicted, but not read."""
        self.report.breathe()
        length = self.sequence.encoder_length
        ids = tuple(self.sequence.ids[self.sequence.positions("answer")].tolist())
        end = len(self.sequence) - length - 1
        parts = anatomy.parts(self.model.ids(self.sequence.ids[:-1]), length)
        batch = self._batch(parts, texts, texts > 1 and self._grows)
        with self.model.running(self.report.poll) as module, off:
            states = anatomy.every_last_states(module, batch, range(end - len(ids), end))
        return np.stack([Pass(self.model, one).log_probs(ids) for one in states])

    def _batch(self, parts: anatomy.Parts, texts: int, grows: bool) -> anatomy.Parts:
        """As many texts as heads are off. With `grows` one text begins, and becomes several where their ways part; an encoder's
        reading is shared anyway, unless heads of the encoder are off."""
        *encoder, last = parts
        if not encoder:
            return (last if grows else last.expand(texts, -1),)
        once = grows or self.kind != "encoder"
        return encoder[0] if once else encoder[0].expand(texts, -1), last.expand(texts, -1)

    @contextmanager
    def _off(self, layer: int, heads: Sequence[int]) -> Iterator[None]:
        """Inside it each text of a batch lacks one of these heads."""
        count = self.model.facts.heads_of(self.kind)

        def switch(part: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            outputs = args[0].expand(len(heads), -1, -1).clone()  # (text, token, head x width)
            for text, head in enumerate(heads):
                output = outputs[text].unflatten(-1, (count, -1))[:, head]
                output[:] = output.mean(dim=0) if self.fill == "mean" else 0
            return outputs, *args[1:]

        site = anatomy.attention_sites(self.model.network.module)[self.kind, layer]
        handle = anatomy.output_projection(site).register_forward_pre_hook(switch)
        try:
            yield
        finally:
            handle.remove()

    @cached_property
    def _grows(self) -> bool:
        """Whether one text may become several in the middle of a pass, tried on a short one: some architectures compare its shape with what they prepared at the start."""
        ids = self.model.ids(PROBE % self.model.facts.vocabulary)
        parts = anatomy.parts(ids, len(PROBE) // 2 if self.sequence.encoder_length else 0)
        layer, rows = self.model.facts.attention_layers(self.kind)[0], range(parts[-1].shape[1])
        with self.model.running() as module, self._off(layer, (0, 0)):
            whole = anatomy.every_last_states(module, self._batch(parts, 2, grows=False), rows)
            try:
                grown = anatomy.every_last_states(module, self._batch(parts, 2, grows=True), rows)
            except (
                RuntimeError,
                ValueError,
            ):  # torch's and transformers' own words for shapes that do not fit each other
                return False
        expected, found = (torch.stack([one.states for one in texts]).float() for texts in (whole, grown))
        return torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()), equal_nan=True)

    @property
    def _text_bytes(self) -> int:
        """What a text of a batch takes while it passes a layer, about."""
        facts, module, tokens = self.model.facts, self.model.network.module, len(self.sequence)
        values = ALIVE * tokens * module.get_input_embeddings().weight.shape[1]
        if self.model.network.kernel == "eager":
            values += 2 * facts.heads_of(self.kind) * tokens**2
        return values * getattr(torch, facts.dtype).itemsize
