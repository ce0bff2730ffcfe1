"""Slow, obvious twins of the fast code: one pass for everything, nothing shared, nothing reused."""

from __future__ import annotations

import difflib
import inspect
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import permutation_test

from model_utils.contracts.atlas import MEASURES
from model_utils.contracts.common import ROLES, Encoded, queries_and_keys
from model_utils.pair import Pair


def greedy_ids(module: Any, prompt_ids: Sequence[int], count: int, stop_ids: frozenset[int]) -> list[int]:
    """The most probable token, `count` times, reading the whole text again for each one."""
    ids = list(prompt_ids)
    with torch.no_grad():
        while len(ids) < len(prompt_ids) + count:
            ids.append(int(module(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            if ids[-1] in stop_ids:
                break
    return ids[len(prompt_ids) :]


def log_probs(module: Any, ids: Sequence[int]) -> np.ndarray:
    """(token, vocab) float64; row t is the distribution of the token after ids[: t + 1]."""
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return torch.log_softmax(logits.double(), dim=-1).numpy()


def all_logits(module: Any, ids: Sequence[int] | np.ndarray, encoder_length: int = 0) -> torch.Tensor:
    """(token of the decoder, vocabulary) of one plain forward."""
    with torch.no_grad():
        return module(**_split(torch.as_tensor(ids)[None], encoder_length), use_cache=False).logits[0]


def _split(read: torch.Tensor, encoder_length: int) -> dict[str, torch.Tensor]:
    name = "input_ids" if read.ndim == 2 else "inputs_embeds"
    if not encoder_length:
        return {name: read}
    return {name: read[:, :encoder_length], f"decoder_{name}": read[:, encoder_length:]}


def recorded_attention(module: Any, ids: Sequence[int] | np.ndarray, encoder_length: int = 0) -> dict:
    """(kind, layer) -> (head, query, key), all kept at once by the eager model's own switch; layers without attention are missing."""
    with torch.no_grad():
        output = module(**_split(torch.as_tensor(ids)[None], encoder_length), use_cache=False, output_attentions=True)
    if encoder_length:
        kinds = {
            "encoder": output.encoder_attentions,
            "self": output.decoder_attentions,
            "cross": output.cross_attentions,
        }
    else:
        kinds = {"self": output.get("attentions") or ()}
    types = getattr(module.config, "layer_types", None) or ["full_attention"] * 99
    with_attention = [number for number, kind in enumerate(types) if kind != "linear_attention"]
    return {
        (kind, with_attention[i]): weights[0].numpy() for kind, maps in kinds.items() for i, weights in enumerate(maps)
    }


def attention_maps(module: Any, ids: Sequence[int]) -> np.ndarray:
    """(layer, head, query, key), all layers kept at once by the model's own switch."""
    before = module.config._attn_implementation
    module.set_attn_implementation("eager")
    maps = recorded_attention(module, ids)
    module.set_attn_implementation(before)
    return np.stack(list(maps.values()))


def value_weighted(module: Any, ids: Sequence[int], layer: int) -> np.ndarray:
    """(head, query, key) of a Llama or a GPT-2: every weight times the length of what its head passes on from there, one cell after the other."""
    is_llama = hasattr(module.config, "num_key_value_heads")
    attention = module.model.layers[layer].self_attn if is_llama else module.transformer.h[layer].attn
    read: list[torch.Tensor] = []
    handle = attention.register_forward_hook(
        lambda _, args, given, output: read.append(given["hidden_states"] if is_llama else args[0]), with_kwargs=True
    )
    weights = attention_maps(module, ids)[layer]
    handle.remove()
    heads, width = len(weights), attention.head_dim
    with torch.no_grad():
        if is_llama:
            values, output = attention.v_proj(read[0][0]), attention.o_proj.weight.detach().T
        else:
            values, output = attention.c_attn(read[0][0])[:, -heads * width :], attention.c_proj.weight.detach()
    shared = heads * width // values.shape[1]
    scores = np.zeros_like(weights)
    for head in range(heads):
        own, of_keys = (
            slice(head * width, (head + 1) * width),
            slice(head // shared * width, (head // shared + 1) * width),
        )
        for query in range(len(ids)):
            for key in range(query + 1):
                passed_on = (weights[head, query, key] * values[key, of_keys]) @ output[own]
                scores[head, query, key] = float(passed_on.norm())
    return scores / scores.sum(axis=-1, keepdims=True)


def gradient_x_input(
    module: Any, ids: Sequence[int] | np.ndarray, position: int, quantity: str, encoder_length: int = 0
) -> np.ndarray:
    """(token,) scores of one target token at `position`, with a forward and a backward of its own."""
    with torch.enable_grad():
        read = torch.as_tensor(ids)[None]
        embeddings = module.get_input_embeddings()(read)
        if encoder_length:
            decoder = module.get_decoder().get_input_embeddings()(read[:, encoder_length:])
            embeddings = torch.cat([embeddings[:, :encoder_length], decoder], dim=1)
        embeddings = embeddings.detach().requires_grad_()
        rows = module(**_split(embeddings, encoder_length), use_cache=False).logits[0]
        logits = rows[position - 1 - encoder_length]
        logs = torch.log_softmax(logits, dim=-1)
        {"logit": logits, "log-probability": logs, "probability": logs.exp()}[quantity][ids[position]].backward()
    assert embeddings.grad is not None
    return (embeddings.grad * embeddings)[0].sum(-1).detach().numpy()


def densities(
    module: Any,
    ids: Sequence[int] | np.ndarray,
    tokens: Sequence[int] | np.ndarray,
    answer: Sequence[int] | np.ndarray,
    encoder_length: int = 0,
) -> list[float]:
    """d_n of the prompt's `tokens` for the answer tokens that stand at `answer`: one backward for each, and every number by itself."""
    hits: list[list[int]] = [[] for _ in tokens]
    for position in answer:
        scores = gradient_x_input(module, ids, position, "probability", encoder_length)[tokens]
        for row, score in zip(hits, scores, strict=True):
            level = math.ceil(max(0.0, score) / max(scores) * 10) if max(scores) > 0 else 0
            row.append(level if level > 7 else 0)
    found = [sum(row) / sum(level**4 for level in row) ** 0.25 if any(row) else 0.0 for row in hits]
    return [one / max(found) for one in found]


def integrated_gradients(
    module: Any, ids: np.ndarray, position: int, quantity: str, baseline: int, open: np.ndarray, steps: int
) -> np.ndarray:
    """(token,) by the midpoint rule, one forward and one backward a point; tokens that are not open stay in the baseline."""
    table = module.get_input_embeddings()
    with torch.no_grad():
        ends = table(torch.as_tensor(ids))[None]
        begins = torch.where(torch.as_tensor(open)[None, :, None], table(torch.tensor([baseline]))[None], ends)
    total = torch.zeros_like(ends)
    for step in range(steps):
        here = (begins + (step + 0.5) / steps * (ends - begins)).requires_grad_()
        logs = torch.log_softmax(rows := module(inputs_embeds=here, use_cache=False).logits[0, position - 1], dim=-1)
        {"logit": rows, "log-probability": logs, "probability": logs.exp()}[quantity][ids[position]].backward()
        total += here.grad / steps
    return (total * (ends - begins))[0].sum(-1).numpy()


def log_probs_without(
    module: Any,
    ids: np.ndarray,
    stays: np.ndarray,
    operator: str,
    places: np.ndarray,
    targets: np.ndarray,
    encoder_length: int,
) -> np.ndarray:
    """(target,) log-probabilities of `targets` (target,) at `places`, of one text from which what does not stay (token,) was taken away.

    One forward: over the mean of all embeddings in its place, with a mask over it, or over the text that is left.
    """
    halves = [slice(0, encoder_length), slice(encoder_length, len(ids))] if encoder_length else [slice(0, len(ids))]
    stacks = [module.get_encoder(), module.get_decoder()] if encoder_length else [module]
    options, rows = {}, places - 1 - encoder_length
    with torch.no_grad():
        for prefix, stack, half in zip(("", "decoder_"), stacks, halves, strict=False):
            read, here = torch.as_tensor(ids[half]), torch.as_tensor(stays[half])
            table = stack.get_input_embeddings()
            if operator == "mean embedding":
                mean = table(torch.arange(table.weight.shape[0])).mean(0)
                options[f"{prefix}inputs_embeds"] = torch.where(here[:, None], table(read), mean)[None]
            elif operator == "mask":
                options |= {f"{prefix}input_ids": read[None], f"{prefix}attention_mask": here.long()[None]}
            else:
                options[f"{prefix}input_ids"] = read[here][None]
        if operator == "delete":
            rows = np.cumsum(stays[halves[-1]])[rows] - 1
        elif (
            operator == "mask" and not encoder_length and "position_ids" in inspect.signature(module.forward).parameters
        ):
            options["position_ids"] = torch.arange(len(ids))[None]
        logs = torch.log_softmax(module(**options, use_cache=False).logits[0], dim=-1)
    return logs[rows, targets].numpy()


def detokenized(tokenizer: Any, prompt_ids: Sequence[int], ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
    """Text and span of each id, decoding everything from the start again after every id."""

    def decode(some: Sequence[int]) -> str:
        return tokenizer.decode(some, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    head, spans, waiting, start = decode(prompt_ids), [], 0, 0
    text = ""
    for count in range(1, len(ids) + 1):
        text = decode([*prompt_ids, *ids[:count]])[len(head) :]
        waiting += 1
        if not text.endswith("\ufffd"):
            spans += [(start, len(text))] * waiting
            start, waiting = len(text), 0
    return text, spans + [(start, len(text))] * waiting


def longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of a longest common subsequence, by the table of the textbook."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def head_measures(maps: np.ndarray, sequence: Encoded, kind: str) -> dict[tuple[str, str], np.ndarray]:
    """(measure, scope) -> (layer, head) of `maps` (layer, head, query, key): one loop for every row, as the words of `contracts.atlas.MEASURES` say it."""
    queries, keys = queries_and_keys(sequence, kind)
    answer = [row for row, at in enumerate(queries) if kind == "encoder" or ROLES[sequence.roles[at]] == "answer"]
    found = {}
    for scope, rows in (("answer", answer), ("text", range(len(queries)))):
        for name in MEASURES:
            values = [_measured(name, maps[:, :, row], sequence, int(queries[row]), keys, kind) for row in rows]
            known = [value for value in values if value is not None]
            found[name, scope] = np.mean(known, axis=0) if known else np.full(maps.shape[:2], np.nan)
    return found


def _measured(name: str, row: np.ndarray, sequence: Encoded, query: int, keys: np.ndarray, kind: str) -> Any:
    """(layer, head) of one query's `row` (layer, head, key); None: it says nothing of this."""
    ids = sequence.ids
    if name == "entropy":
        return -np.where(row > 0, row * np.log(np.where(row > 0, row, 1)), 0).sum(axis=-1)
    if name == "first":
        return row[..., 0]
    if name in ROLES:
        return row[..., [ROLES[sequence.roles[key]] == name for key in keys]].sum(axis=-1)
    if kind == "cross":
        return None
    if name == "distance":
        return (row * np.abs(keys - query)).sum(axis=-1)
    before = [key for key in keys if key < query]
    wanted = {
        "previous": [query - 1] if before else [],
        "duplicate": [key for key in before if ids[key] == ids[query]],
        "induction": [key + 1 for key in before if ids[key] == ids[query] and key + 1 != query],
    }[name]
    return row[..., np.isin(keys, wanted)].sum(axis=-1) if wanted else None


def head_changes(maps: Pair[np.ndarray], sequence: Encoded, kind: str) -> np.ndarray:
    """(layer, head) mean Jensen-Shannon divergence in nats of the answer's rows (an encoder's: all), by its definition."""
    queries, _ = queries_and_keys(sequence, kind)
    rows = [row for row, at in enumerate(queries) if kind == "encoder" or ROLES[sequence.roles[at]] == "answer"]
    p, q = (side[:, :, rows].astype(np.float64) for side in maps.sides)
    middle = (p + q) / 2

    def kl(one: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(one > 0, one * np.log(one / middle), 0).sum(axis=-1)

    return ((kl(p) + kl(q)) / 2).mean(axis=-1)


def forced_log_prob(module: Any, prompt_ids: Sequence[int], ids: Sequence[int]) -> float:
    """nats; of `ids` after the prompt, all read at once."""
    rows = log_probs(module, [*prompt_ids, *ids])[len(prompt_ids) - 1 :]
    return float(sum(rows[place, id] for place, id in enumerate(ids)))


def distinct_entropy(answers: Sequence[str]) -> float:
    """nats; of how often each answer is given, one after the other."""
    return sum(-share * math.log(share) for share in (answers.count(one) / len(answers) for one in set(answers)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction as the closed test that it is: of each p the worst that Bonferroni says in any group of tests that it is part of."""
    known = [i for i, one in enumerate(p) if not math.isnan(one)]
    groups = [group for size in range(1, len(known) + 1) for group in itertools.combinations(known, size)]
    worst = [[len(group) * min(p[j] for j in group) for group in groups if i in group] for i in range(len(p))]
    return [min(1.0, max(each)) if each else math.nan for each in worst]


def sign_flips(differences: np.ndarray, flips: int, seed: int = 0) -> float:
    """Two-sided p that the mean of `differences` (item,) is 0, by scipy; all patterns of signs where there are no more than `flips`."""
    return float(
        permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=flips, rng=np.random.default_rng(seed)
        ).pvalue
    )


def sentence(module: Any, tokenizer: Any, text: str, before: str = "") -> tuple[list[int], list[float]]:
    """(ids, nats each) of a sentence's tokens after BOS and what stands before it, with a forward of its own for each token."""
    given = tokenizer(before)["input_ids"]
    whole = tokenizer(f"{before} {text}" if before else text)["input_ids"]
    assert whole[: len(given)] == given and given[0] == tokenizer.bos_token_id
    scores = [float(log_probs(module, whole[:place])[-1, whole[place]]) for place in range(len(given), len(whole))]
    return whole[len(given) :], scores


def crows_pair(module: Any, tokenizer: Any, more: str, less: str) -> tuple[float, float, float, float]:
    """Log-probabilities of both sentences, and of the tokens in the blocks that difflib matches."""
    (left, left_scores), (right, right_scores) = (sentence(module, tokenizer, one) for one in (more, less))
    blocks = difflib.SequenceMatcher(None, left, right).get_matching_blocks()
    shared = [
        sum(left_scores[b.a + n] for b in blocks for n in range(b.size)),
        sum(right_scores[b.b + n] for b in blocks for n in range(b.size)),
    ]
    return sum(left_scores), sum(right_scores), shared[0], shared[1]


def stereoset(terms: Sequence[str], rows: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """SS, LM and ICAT, counted cluster by cluster as the published program does."""
    counts: dict[str, dict[str, float]] = {}
    for term, (pro, anti, unrelated) in zip(terms, rows, strict=True):
        one = counts.setdefault(term, {"pro": 0.0, "related": 0.0, "total": 0.0})
        one["pro"] += pro > anti
        one["related"] += pro > unrelated
        one["related"] += anti > unrelated
        one["total"] += 1
    ss = float(np.mean([100 * one["pro"] / one["total"] for one in counts.values()]))
    lm = float(np.mean([100 * one["related"] / (2 * one["total"]) for one in counts.values()]))
    return ss, lm, lm * (min(ss, 100 - ss) / 50)


def bbq(answers: Sequence[tuple[str, str, str]], right: Sequence[bool]) -> tuple[float, float]:
    """s_DIS and s_AMB of (what was chosen: target, other or unknown; polarity; condition), as the published program counts them."""
    cells = [(polarity, chosen) for chosen, polarity, _ in answers if chosen != "unknown"]
    hits = cells.count(("neg", "target")) + cells.count(("nonneg", "other"))
    s_dis = 2 * hits / len(cells) - 1 if cells else math.nan
    return s_dis, (1 - sum(right) / len(right)) * s_dis
