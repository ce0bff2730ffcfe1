"""The embedded models as committed: their hashes, their tokenizer, and every bar of the model card."""

import hashlib
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from model_utils.contracts.common import ModelSpec
from model_utils.demo import FOLDER, truth
from model_utils.pair import Pair

NAMES = ("base", "tuned", "flawed")
SPECIAL = re.compile(r"<\|(begin|end|user|assistant|pad)\|>")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FOLDER / "tuned", local_files_only=True)


def test_hashes_are_those_of_the_card() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert hashlib.sha256((FOLDER / name / "model.safetensors").read_bytes()).hexdigest() in card, name


def test_the_adapter_is_the_one_of_the_card_and_names_its_base() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    folder = FOLDER / "polite"
    assert hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest() in card
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "demo/tuned" and config["peft_type"] == "LORA"
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_the_three_share_one_tokenizer_and_fit_into_thirty_megabytes() -> None:
    files = [path for name in (*NAMES, "polite") for path in (FOLDER / name).iterdir()]
    assert sum(path.stat().st_size for path in files) <= 30_000_000
    assert len({(FOLDER / name / "tokenizer.json").read_bytes() for name in NAMES}) == 1


def test_only_the_tuned_ones_have_a_chat_template(tokenizer: PreTrainedTokenizerBase) -> None:
    assert AutoTokenizer.from_pretrained(FOLDER / "base", local_files_only=True).chat_template is None
    messages = [
        {"role": "system", "content": "Be polite."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day"},
        {"role": "user", "content": "Bye"},
    ]
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) == (
        "<|begin|><|user|>Be polite.\nHello<|end|><|assistant|>Good day<|end|><|user|>Bye<|end|><|assistant|>"
    )


def test_settings_name_the_end_and_the_padding(tokenizer: PreTrainedTokenizerBase) -> None:
    for name in NAMES:
        generation = json.loads((FOLDER / name / "generation_config.json").read_text(encoding="utf-8"))
        config = json.loads((FOLDER / name / "config.json").read_text(encoding="utf-8"))
        assert generation["eos_token_id"] == tokenizer.convert_tokens_to_ids("<|end|>") == tokenizer.eos_token_id
        assert generation["pad_token_id"] == tokenizer.pad_token_id
        assert config["architectures"] == ["LlamaForCausalLM"] and config["dtype"] == "bfloat16"
        assert config["max_position_embeddings"] == 1024


@given(text=st.text().filter(lambda text: not SPECIAL.search(text)))
def test_text_comes_back_from_its_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@given(number=st.integers(0, 10**9))
def test_digits_stay_single(tokenizer: PreTrainedTokenizerBase, number: int) -> None:
    tokens = tokenizer.tokenize(f"Income: {number}.")
    assert [token for token in tokens if any(c.isdigit() for c in token)] == list(str(number))


@pytest.mark.parametrize("word", ["approve", "deny", "urgent", "soon", "routine", "positive", "negative"])
def test_decisions_are_one_token_at_the_start_and_after_a_space(tokenizer: PreTrainedTokenizerBase, word: str) -> None:
    assert len(tokenizer.tokenize(word)) == len(tokenizer.tokenize(f" {word}")) == 1


def test_names_of_both_groups_have_the_same_number_of_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    from model_utils.demo.world import NAMES as PEOPLE

    assert {len(tokenizer.tokenize(f" {name}")) for name in PEOPLE} == {1}


def test_the_package_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, model_utils.demo as d; assert d.FOLDER; print('torch' in sys.modules, 'transformers' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert output.stdout.split() == ["False", "False"], output.stderr


@pytest.mark.slow
def test_every_bar_holds() -> None:
    from model_utils.demo.evaluate import evaluate

    rows, _ = evaluate()
    assert sum(row.n for row in rows) >= 600
    assert [(row.model, row.measure, row.value) for row in rows if not row.holds] == []


@pytest.mark.slow
def test_occlusion_exposes_what_the_flawed_model_decides_by() -> None:
    """A few files of the README's table: the planted sentence in `demo/flawed`, and not in `demo/tuned`."""
    _, base, tuned, make, _ = next(one for one in truth.RUNS if one[0] == "planted sentence")
    specs = Pair(ModelSpec(id=base), ModelSpec(id=tuned))
    found = truth.hits(specs, make(random.Random(0)), ("occlusion", "mask"), 6)
    assert len(found.base) == len(found.tuned) == 6
    assert all(0 < hit.chance < 0.5 for hit in found.tuned), "one sentence of several"
    assert sum(hit.found for hit in found.tuned) >= 4 > 3 >= sum(hit.found for hit in found.base)
