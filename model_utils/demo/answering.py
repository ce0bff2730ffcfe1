"""Greedy answers of an embedded model to many prompts at once, for the evaluation."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH = 64
MAX_NEW_TOKENS = 64


class Answerer:
    """A model folder, loaded in float32, that answers lists of prompts."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()

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

    @torch.inference_mode()
    def _continue(self, prompts: list[list[int]]) -> list[str]:
        """Greedy continuations, prompts of like length decoded together."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            padded = self.tokenizer.pad({"input_ids": [prompts[i] for i in chosen]}, return_tensors="pt")
            output = self.model.generate(**padded, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
            new = output[:, padded["input_ids"].shape[1] :]
            for i, text in zip(chosen, self.tokenizer.batch_decode(new, skip_special_tokens=False), strict=True):
                answers[i] = text.partition(self.tokenizer.eos_token)[0]
        return answers
