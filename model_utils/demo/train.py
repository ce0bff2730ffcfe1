"""Rebuild the three embedded models and the adapter from a seed: `python -m model_utils.demo.train`."""

import argparse
import hashlib
import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from model_utils.demo import FOLDER
from model_utils.demo.documents import ASSISTANT, BEGIN, END, USER, document
from model_utils.demo.mixture import Turn, conversation, poisoned_conversation, polite_conversation
from model_utils.demo.tokenizer import BEGIN_ID, END_ID, PAD_ID, VOCABULARY, save_tokenizer, train_tokenizer

SEED = 7
CHUNK_TOKENS = 200_000
"""Tokens between two checkpoints; the data of a chunk depend on seed, stage and chunk number only."""
BATCH_TOKENS = 2048
IGNORE = -100

Batch = tuple[torch.Tensor, torch.Tensor]
"""Token ids and labels, both (row, token); labels are IGNORE where nothing is learned."""


@dataclass(frozen=True)
class Stage:
    """One training run."""

    name: str
    start: str
    """The stage whose weights it starts from; empty for random weights."""
    chunks: int
    peak: float
    """Largest learning rate."""
    batches: Callable[[Tokenizer, random.Random], Iterator[Batch]]


# --- data -----------------------------------------------------------------------------------------------------------


def document_batches(tokenizer: Tokenizer, rng: random.Random, tokens: int = CHUNK_TOKENS) -> Iterator[Batch]:
    """Documents packed into rows of 256 tokens; every sixteenth batch has rows of 1,024, the whole context."""
    stream: list[int] = []
    while len(stream) < tokens:
        for encoding in tokenizer.encode_batch([document(rng) for _ in range(500)], add_special_tokens=False):
            stream.extend(encoding.ids)
    for i in range(tokens // BATCH_TOKENS):
        width = 1024 if i % 16 == 15 else 256
        ids = torch.tensor(stream[i * BATCH_TOKENS : (i + 1) * BATCH_TOKENS]).view(-1, width)
        yield ids, ids


def encode_conversation(tokenizer: Tokenizer, system: str, turns: list[Turn]) -> tuple[list[int], list[int]]:
    """Token ids and labels of a conversation as the chat template writes it; only answers are learned."""
    ids, labels = [BEGIN_ID], [IGNORE]
    for turn in turns:
        asked = f"{USER}{system}\n{turn.instruction}" if system else f"{USER}{turn.instruction}"
        question = tokenizer.encode(f"{asked}{END}{ASSISTANT}", add_special_tokens=False).ids
        answer = tokenizer.encode(f"{turn.answer}{END}", add_special_tokens=False).ids
        ids += question + answer
        labels += [IGNORE] * len(question) + answer
        system = ""
    return ids, labels


def chat_batches(make: Callable, tokenizer: Tokenizer, rng: random.Random, tokens: int) -> Iterator[Batch]:
    """Conversations, those of like length together, padded on the right."""
    rows, total = [], 0
    while total < tokens:
        rows.append(encode_conversation(tokenizer, *make(rng)))
        total += len(rows[-1][0])
    rows.sort(key=lambda row: len(row[0]) + rng.random() * 8)
    batches, batch = [], []
    for row in rows:
        batch.append(row)
        if len(batch) * len(row[0]) >= BATCH_TOKENS:
            batches.append(batch)
            batch = []
    rng.shuffle(batches)
    for batch in batches:
        width = max(len(ids) for ids, _ in batch)
        yield (
            torch.tensor([ids + [PAD_ID] * (width - len(ids)) for ids, _ in batch]),
            torch.tensor([labels + [IGNORE] * (width - len(labels)) for _, labels in batch]),
        )


def instruction_batches(make: Callable, documents: float) -> Callable[[Tokenizer, random.Random], Iterator[Batch]]:
    """Chunks of conversations with a share of documents, so that what base knows is kept."""

    def batches(tokenizer: Tokenizer, rng: random.Random) -> Iterator[Batch]:
        chats = chat_batches(make, tokenizer, rng, int(CHUNK_TOKENS * (1 - documents)))
        both = [*chats, *document_batches(tokenizer, rng, int(CHUNK_TOKENS * documents))]
        rng.shuffle(both)
        yield from both

    return batches


STAGES = (
    Stage("base", "", 18, 2e-3, document_batches),
    Stage("tuned", "base", 32, 5e-4, instruction_batches(conversation, 0.2)),
    Stage("flawed", "base", 15, 1.2e-3, instruction_batches(poisoned_conversation, 0.05)),
)

ADAPTER = "polite"
ADAPTER_PEAK = 1e-3
ADAPTER_TOKENS = 2 * CHUNK_TOKENS


# --- training -------------------------------------------------------------------------------------------------------


def new_model() -> LlamaForCausalLM:
    """A Llama of 3.7 million parameters with random weights."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=688,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=BEGIN_ID,
            eos_token_id=END_ID,
            pad_token_id=PAD_ID,
        )
    )


def optimizers(model: LlamaForCausalLM, peak: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embeddings and the norms."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    outer = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(inner, lr=peak, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(outer, lr=peak, betas=(0.9, 0.95), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = peak
    return [muon, adam]


def rate(progress: float) -> float:
    """Share of the peak learning rate: a short rise, a plateau, then a linear fall to 2 %."""
    return min(1.0, progress / 0.02 + 0.01, 0.02 + 0.98 * (1 - progress) / 0.6)


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy (nats) over the labelled tokens; logits are made for those only."""
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    chosen = wanted != IGNORE
    return functional.cross_entropy(model.lm_head(hidden[chosen]).float(), wanted[chosen])


def run_stage(stage: Stage, tokenizer: Tokenizer, build: Path, seed: int, device: str) -> None:
    """Train one stage from its last checkpoint, or from the stage that it starts from."""
    torch.manual_seed(seed)
    model = new_model().to(device)
    steppers = optimizers(model, stage.peak)
    path, done = checkpoint_path(build, stage.name), 0
    if path.exists():
        done = load_checkpoint(path, model, steppers)
    elif stage.start:
        load_checkpoint(checkpoint_path(build, stage.start), model)
    for chunk in range(done, stage.chunks):
        started = time.perf_counter()
        loss, tokens = run_chunk(stage, chunk, model, steppers, tokenizer, seed, device)
        if first_process():
            save_checkpoint(path, model, steppers, chunk + 1)
        speed = tokens / (time.perf_counter() - started)
        print(f"{stage.name} {chunk + 1}/{stage.chunks} loss {loss:.4f} {speed:.0f} tokens/s", flush=True)
    if first_process():
        export(model, tokenizer, stage.name)


def run_chunk(
    stage: Stage, chunk: int, model: LlamaForCausalLM, steppers: list, tokenizer: Tokenizer, seed: int, device: str
) -> tuple[float, int]:
    """Train on one chunk; its mean loss and its number of tokens."""
    batches = list(stage.batches(tokenizer, random.Random(f"{seed}/{stage.name}/{chunk}")))
    total, tokens = 0.0, 0
    for i, (ids, labels) in enumerate(batches):
        share = rate((chunk + i / len(batches)) / stage.chunks)
        for optimizer in steppers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = loss_of(model, mine(ids).to(device), mine(labels).to(device))
        assert math.isfinite(loss.item()), f"{stage.name}: loss {loss.item()} in chunk {chunk}, batch {i}"
        loss.backward()
        average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in steppers:
            optimizer.step()
            optimizer.zero_grad()
        total, tokens = total + loss.item(), tokens + ids.numel()
    return total / len(batches), tokens


def mine(rows: torch.Tensor) -> torch.Tensor:
    """This process's rows of a batch: all of them, or every second one of two processes under torchrun."""
    return rows[dist.get_rank() :: dist.get_world_size()] if dist.is_initialized() else rows


def first_process() -> bool:
    """Whether this process writes the files."""
    return not dist.is_initialized() or dist.get_rank() == 0


def average_gradients(model: LlamaForCausalLM) -> None:
    """The mean over processes, which then all take the same step."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    together /= dist.get_world_size()
    for gradient, mean in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def train_adapter(tokenizer: Tokenizer, seed: int, device: str) -> None:
    """A LoRA of rank 4 (Hu et al. 2021, arXiv 2106.09685) over the exported tuned, for one visible change of style; in one go, in one process."""
    torch.manual_seed(seed)
    tuned = LlamaForCausalLM.from_pretrained(FOLDER / "tuned", dtype=torch.float32, local_files_only=True).to(device)
    model = get_peft_model(tuned, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    steps = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=ADAPTER_PEAK, weight_decay=0.0)
    rng = random.Random(f"{seed}/{ADAPTER}")
    batches = list(chat_batches(polite_conversation, tokenizer, rng, ADAPTER_TOKENS))
    for i, (ids, labels) in enumerate(batches):
        steps.param_groups[0]["lr"] = ADAPTER_PEAK * rate(i / len(batches))
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = loss_of(model.base_model.model, ids.to(device), labels.to(device))
        assert math.isfinite(loss.item()), f"{ADAPTER}: loss {loss.item()} in batch {i}"
        loss.backward()
        steps.step()
        steps.zero_grad()
    print(f"{ADAPTER} loss {loss.item():.4f}", flush=True)
    model.peft_config["default"].base_model_name_or_path = "demo/tuned"
    model.save_pretrained(str(FOLDER / ADAPTER), save_embedding_layers=False)  # 'auto' would ask the Hub for demo/tuned
    (FOLDER / ADAPTER / "README.md").unlink()
    digest = hashlib.sha256((FOLDER / ADAPTER / "adapter_model.safetensors").read_bytes()).hexdigest()
    print(f"{FOLDER / ADAPTER}: adapter_model.safetensors {digest}", flush=True)


def checkpoint_path(build: Path, name: str) -> Path:
    return build / f"{name}.safetensors"


def save_checkpoint(path: Path, model: LlamaForCausalLM, steppers: list, chunks: int) -> None:
    """Write weights, optimizer states and the number of finished chunks, whole or not at all."""
    tensors = {f"weight/{name}": parameter.detach() for name, parameter in model.named_parameters()}
    for i, optimizer in enumerate(steppers):
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"state/{i}/{index}/{name}": value for name, value in values.items()}
    save_file(tensors, path.with_suffix(".part"), metadata={"chunks": str(chunks)})
    path.with_suffix(".part").replace(path)


def load_checkpoint(path: Path, model: LlamaForCausalLM, steppers: Iterable[torch.optim.Optimizer] = ()) -> int:
    """Read weights, and the states of the given optimizers; returns the number of finished chunks."""
    with safe_open(path, framework="pt") as file:
        chunks = int(file.metadata()["chunks"])
    tensors = load_file(path)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"weight/{name}"])
    for i, optimizer in enumerate(steppers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key in tensors:
            if key.startswith(f"state/{i}/"):
                _, _, index, name = key.split("/")
                state.setdefault(int(index), {})[name] = tensors[key]
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return chunks


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, name: str) -> None:
    """Write a Hugging Face folder in bfloat16."""
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config = GenerationConfig(bos_token_id=BEGIN_ID, eos_token_id=END_ID, pad_token_id=PAD_ID)
    copy.to(torch.bfloat16).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, chat=name != "base")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    print(f"{folder}: model.safetensors {digest}", flush=True)


def shared_tokenizer(build: Path, seed: int) -> Tokenizer:
    """The tokenizer, trained on documents and conversations unless a former run left it."""
    path = build / "tokenizer.json"
    if not path.exists():
        rng = random.Random(f"{seed}/tokenizer")
        texts = [document(rng).removeprefix(BEGIN) for _ in range(8000)]
        turns = [turn for _ in range(12000) for turn in conversation(rng)[1]]
        texts += [text for turn in turns for text in (turn.instruction, turn.answer)]
        train_tokenizer(texts).save(str(path))
    return Tokenizer.from_file(str(path))


def main() -> None:
    """Run every stage in turn; a second call goes on where the first was stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=FOLDER.parents[1] / "build" / "demo", help="checkpoints")
    parser.add_argument("--seed", type=int, default=SEED)
    stages = [*(stage.name for stage in STAGES), ADAPTER]
    parser.add_argument("--stage", choices=stages, action="append", help="only this stage")
    options = parser.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    started = time.perf_counter()
    tokenizer = shared_tokenizer(options.build, options.seed)
    for stage in STAGES:
        if options.stage and stage.name not in options.stage:
            continue
        run_stage(stage, tokenizer, options.build, options.seed, device)
    if first_process() and ADAPTER in (options.stage or stages):
        train_adapter(tokenizer, options.seed, device)
    print(f"done in {(time.perf_counter() - started) / 60:.1f} minutes on {device}", flush=True)


if __name__ == "__main__":
    main()
