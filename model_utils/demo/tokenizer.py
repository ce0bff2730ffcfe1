"""The byte-level BPE tokenizer that the three embedded models share, and the chat template of the tuned ones."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from model_utils.demo.documents import ASSISTANT, BEGIN, END, PAD, USER

VOCABULARY = 2048
SPECIAL = [PAD, BEGIN, USER, ASSISTANT, END]
PAD_ID, BEGIN_ID, USER_ID, ASSISTANT_ID, END_ID = range(5)

CHAT_TEMPLATE = (
    "{{- bos_token -}}"
    "{%- set ns = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{%- set ns.system = message['content'] + '\\n' -%}"
    "{%- elif message['role'] == 'user' -%}{{- '<|user|>' + ns.system + message['content'] + '<|end|>' -}}{%- set ns.system = '' -%}"
    "{%- else -%}{{- '<|assistant|>' -}}{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
"""A system message opens the next user turn, on a line of its own."""


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE over `texts`: digits stay single, `<|begin|>` is added once to plain text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, BEGIN_ID)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, chat: bool) -> None:
    """Write the tokenizer's files; `chat` adds the template, which base does not have."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT],
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE if chat else None,
    )
    fast.save_pretrained(folder)
    inline = folder / "chat_template.jinja"
    if inline.exists() and not chat:
        inline.unlink()
