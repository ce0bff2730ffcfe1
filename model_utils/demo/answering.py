"""Greedy answers of an embedded model to many prompts at once, for the evaluation."""

from collections.abc import Sequence
from pathlib import Path

from model_utils.contracts.common import ModelSpec
from model_utils.loading import manager
from model_utils.pair import Pair
from model_utils.reporting import Report

BATCH = 64
MAX_NEW_TOKENS = 64


class Answerer:
    """A model folder, opened as any other, that answers lists of prompts; perhaps with an adapter laid over it."""

    def __init__(self, folder: Path, adapter: Path | None = None) -> None:
        spec = ModelSpec(id=str(folder), adapter=str(adapter) if adapter else None, dtype="float32")
        with manager.using(Pair(spec, spec), Report()) as pair:
            self.model = pair.base
        self.tokenizer = self.model.tokenizer

    def chat(self, instructions: Sequence[str]) -> list[str]:
        """Answers under the chat template."""
        conversations = [[{"role": "user", "content": text}] for text in instructions]
        prompts = [
            self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            for messages in conversations
        ]
        return self._continue([self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in prompts])

    def plain(self, texts: Sequence[str]) -> list[str]:
        """Continuations of bare texts, cut at the first blank line."""
        ids = [self.tokenizer(text)["input_ids"] for text in texts]
        return [text.partition("\n\n")[0] for text in self._continue(ids)]

    def _continue(self, prompts: list[list[int]]) -> list[str]:
        """Greedy continuations, prompts of like length decoded together."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            ids = {"input_ids": [prompts[i] for i in chosen]}
            padded = self.tokenizer.pad(ids, padding_side="left", return_tensors="pt").to(self.model.device)
            with self.model.running() as module:
                output = module.generate(**padded, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
            new = output[:, padded["input_ids"].shape[1] :]
            for i, text in zip(chosen, self.tokenizer.batch_decode(new, skip_special_tokens=False), strict=True):
                answers[i] = text.partition(self.tokenizer.eos_token)[0]
        return answers
