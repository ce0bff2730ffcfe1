"""What was opened, exactly, and what can be done with it: the request and the result of the checks at load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from model_utils.contracts.common import UNBOUNDED, ModelFacts, Relation, Request
from model_utils.pair import Pair, Side


class LoadReportRequest(Request):
    """Nothing to choose: the report is about the pair."""

    hash_again: bool = False
    """read every weight file again although its hash is known and it has not changed"""


@dataclass(frozen=True, eq=False)
class Identity:
    """What one side is, wherever its files lie."""

    source: Literal["embedded", "folder", "hub"]
    folder: str
    commit: str | None
    """of a Hub model"""
    weights: str
    """SHA-256 of the weight file; of several files the SHA-256 of the lines that `sha256sum` prints for them"""
    tokenizer: str
    """SHA-256 of tokenizer.json"""
    template: str | None
    """SHA-256 of the chat template's text; None: it has none"""
    adapter: str | None
    """SHA-256 of the adapter's weight file; None: it has none"""
    disk_bytes: int
    """bytes of the weight files, the adapter's included"""
    memory_bytes: int
    """bytes that the weights take in memory; sides that share weights both count them here"""


@dataclass(frozen=True, eq=False)
class Opening:
    """How one side was opened, and what its prompts look like."""

    dtype: str
    dtype_reason: str
    device: str
    device_reason: str
    kernel: str
    """attention kernel, by its name in transformers; an analysis of attention weights uses the eager one"""
    threads: int
    """of the processor, in a long pass"""
    instructions: str
    """of the processor, as torch names them; else the GPU's name"""
    template_source: str
    """where its chat template comes from, as a sentence"""
    bos: str
    """what its tokenizer and its template do about the token that begins a text, as a sentence"""
    tokens: int
    """entries of the tokenizer"""


@dataclass(frozen=True, eq=False)
class Ability:
    """Whether one analysis works on this pair."""

    analysis: str
    works: bool
    reason: str
    """why not, or what to know; empty: it just works"""


@dataclass(frozen=True, eq=False)
class LoadReport:
    """Everything that was checked when the pair was opened."""

    models: Pair[ModelFacts]
    identities: Pair[Identity]
    openings: Pair[Opening]
    shares_weights: bool
    """both sides stand on one copy of the weights in memory"""
    adapter_restores_base: bool | None
    """with the adapter off the shared network computes the same bits as before it was laid on; None: no adapter"""
    tokenizers: Relation
    tokenizers_said: str
    """the same as a sentence"""
    tensor_names: tuple[str, ...]
    """(tensor,) every weight of either side, adapters laid in; in the model's order"""
    tensor_layers: np.ndarray
    """(tensor,) int64; layer of the decoder or only stack, -1: outside the layers (embeddings, last norm, ...) or in an encoder"""
    tensor_sizes: np.ndarray
    """(tensor,) int64; numbers in it"""
    tensor_norms: np.ndarray
    """(tensor,) float64; Frobenius norm in base; NaN: base has no such tensor, or its numbers are packed (quantised)"""
    tensor_differences: np.ndarray
    """(tensor,) float64; Frobenius norm of tuned - base; NaN: only one side has it, the shapes differ in more than the number of rows, or packed numbers differ"""
    tensor_changed: np.ndarray
    """(tensor,) float64; share of its numbers that differ; NaN as above. Where one side has more rows (vocabulary) the common rows are compared"""
    abilities: tuple[Ability, ...]
    unfinished: tuple[str, ...] = ()
    """in a snapshot: what is still being checked"""

    @property
    def differs(self) -> bool:
        """Whether tuned differs from base in any weight."""
        return bool((~(self.tensor_changed == 0)).any())

    def by_layer(self) -> pd.DataFrame:
        """One row a layer: tensors, numbers in them, share of those that differ, and change: the norm of all differences over that of all base weights.

        Layer -1 is what lies outside the layers; tensors that cannot be compared are left out.
        """
        both = ~np.isnan(self.tensor_differences) & ~np.isnan(self.tensor_norms)
        rows = []
        for layer in sorted(set(self.tensor_layers[both].tolist())):
            chosen = both & (self.tensor_layers == layer)
            sizes = self.tensor_sizes[chosen]
            rows.append(
                {
                    "layer": layer,
                    "tensors": int(chosen.sum()),
                    "numbers": int(sizes.sum()),
                    "changed": float((self.tensor_changed[chosen] * sizes).sum() / sizes.sum()),
                    "change": float(
                        relative(
                            np.linalg.norm(self.tensor_differences[chosen]), np.linalg.norm(self.tensor_norms[chosen])
                        )
                    ),
                }
            )
        return pd.DataFrame(rows, columns=["layer", "tensors", "numbers", "changed", "change"])

    def table(self) -> pd.DataFrame:
        """One row a tensor: layer, numbers in it, change (norm of the difference over that of base), share changed; what cannot be compared first, then the most changed."""
        frame = pd.DataFrame(
            {
                "tensor": self.tensor_names,
                "layer": self.tensor_layers,
                "numbers": self.tensor_sizes,
                "change": relative(self.tensor_differences, self.tensor_norms),
                "changed": self.tensor_changed,
            }
        )
        return frame.sort_values("change", ascending=False, kind="stable", na_position="first").reset_index(drop=True)

    def sides(self) -> pd.DataFrame:
        """One row a property of a side: property, base, tuned."""

        def of(side: Side) -> dict[str, object]:
            facts, identity, opening = self.models[side], self.identities[side], self.openings[side]
            return {
                "model": facts.id,
                "architecture": facts.architecture,
                "parameters": facts.parameters,
                "layers": facts.layers,
                "heads": f"{facts.heads}, in the encoder {facts.encoder_heads}"
                if facts.encoder_decoder
                else facts.heads,
                "context": facts.context if facts.context < UNBOUNDED else "no limit of its own",
                "vocabulary": facts.vocabulary,
                "tokenizer entries": opening.tokens,
                "source": identity.source,
                "folder": identity.folder,
                "commit": identity.commit,
                "weights SHA-256": identity.weights,
                "tokenizer SHA-256": identity.tokenizer,
                "template SHA-256": identity.template,
                "adapter SHA-256": identity.adapter,
                "bytes on disk": identity.disk_bytes,
                "bytes in memory": identity.memory_bytes,
                "number format": f"{opening.dtype} ({opening.dtype_reason})",
                "device": f"{opening.device} ({opening.device_reason})",
                "computes with": f"{opening.instructions}, {opening.threads} threads",
                "attention kernel": opening.kernel,
                "chat template": opening.template_source,
                "begin token": opening.bos,
                "attention": attention_said(facts),
            }

        base, tuned = of("base"), of("tuned")
        return pd.DataFrame({"property": list(base), "base": list(base.values()), "tuned": list(tuned.values())})


def relative(difference: np.ndarray | np.floating, norm: np.ndarray | np.floating) -> np.ndarray:
    """difference / norm; 0 where nothing differs, infinite where only the norm is 0 (biases of some models begin at 0)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.equal(difference, 0), 0.0, np.divide(difference, norm))


def attention_said(facts: ModelFacts) -> str:
    """Which layers' attention can be read, in words."""
    if not facts.attention:
        return "of a kind that Candor cannot read" if facts.heads else "none: this architecture has no attention"
    parts = []
    for kind in dict.fromkeys(kind for kind, _ in facts.attention):
        layers = facts.attention_layers(kind)
        whole = layers == tuple(range(layers[-1] + 1))
        named = f"layers 0 to {layers[-1]}" if whole and len(layers) > 1 else "layers " + ", ".join(map(str, layers))
        parts.append(f"{kind}: {named}")
    return "; ".join(parts)
