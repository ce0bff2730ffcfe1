"""What is kept of an analysis, beside its result: of exactly which weights, asked how, computed with what."""

from __future__ import annotations

import hashlib
import platform
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from importlib import metadata
from typing import Any

from model_utils import analyses, codec
from model_utils.contracts.common import Encoded, Message, Request, Specs
from model_utils.contracts.load_report import Identity, LoadReport
from model_utils.contracts.records import Entry, Environment, Record
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.records.store import Labels, Store

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "scipy", "scikit-learn", "rapidfuzz")
"""Whose versions can change a number of a result."""
LABEL_CHARACTERS = 200
KEY = "request"
"""Name of the label that says what was asked of which weights."""


def environment() -> Environment:
    """Of this process; it imports nothing."""
    return Environment(
        system=f"{platform.system()} {platform.machine()}",
        versions=(("Python", platform.python_version()), *((name, metadata.version(name)) for name in PACKAGES)),
    )


def make(kind: str, specs: Specs, request: Request, result: Any, opened: LoadReport, seconds: float) -> Record:
    """The record of one analysis; `opened` is the whole load report of the same models."""
    if opened.unfinished:
        raise Refused(f"The models are not identified yet ({', '.join(opened.unfinished)}); record when they are.")
    salt = secrets.token_hex(16)
    return Record(
        analysis=kind,
        specs=specs,
        identities=opened.identities,
        openings=opened.openings,
        environment=environment(),
        request=request,
        prompt_salt=salt,
        prompt_hash=hash_prompts(salt, result),
        result=result,
        seconds=seconds,
    )


def keep(store: Store, session: str, record: Record) -> Entry:
    """The record as the session's next entry, on the disk when this returns."""
    check(record)
    return store.append(session, "record", record, labels=labels(record))


def check(record: Any) -> Record:
    """`record` itself when it is one of an analysis that Candor knows, and its parts belong together; else Refused."""
    if not isinstance(record, Record):
        raise Refused(f"This entry holds {type(record).__name__}, not a record of an analysis.")
    analysis = analyses.ANALYSES.get(record.analysis)
    if analysis is None:
        raise Refused(f"This is a record of {record.analysis[:40]!r}, an analysis that this Candor does not know.")
    if type(record.request) is not analysis.request or type(record.result) is not analysis.result:
        raise Refused(
            f"A record of {record.analysis} holds a {analysis.request.__name__} and its {analysis.result.__name__}, "
            f"but this one holds {type(record.request).__name__} and {type(record.result).__name__}."
        )
    return record


def labels(record: Record) -> Labels:
    """What a list shows of it, and finds it by."""
    return {
        "analysis": [record.analysis],
        "base": [record.specs.base.name],
        "tuned": [record.specs.tuned.name],
        "instruction": [instruction(record.request)[:LABEL_CHARACTERS]],
        KEY: [key(record.analysis, record.specs, record.request, record.identities)],
    }


def key(kind: str, specs: Specs, request: Request, identities: Pair[Identity]) -> str:
    """SHA-256 of what was asked of which weights, hexadecimal. Without a salt, so that it is found again; like every label it is erased with the record."""
    return codec.digest((kind, specs, request, identities))


def instruction(request: Request) -> str:
    """The person's last message, or the first instruction of a list and how many there are; empty: nothing is asked."""
    messages: Sequence[Message] = getattr(request, "messages", ())
    many: Sequence[str] = getattr(request, "instructions", ())
    if messages:
        return messages[-1].content
    return "".join(many[:1]) + (f" (1 of {len(many)} instructions)" if len(many) > 1 else "")


def hash_prompts(salt: str, result: Any) -> str:
    """SHA-256 of the salt and of every text in the result that a model read, in order and with its length, hexadecimal."""
    hashed = hashlib.sha256(salt.encode())
    for text in _texts(result):
        data = text.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "big") + data)
    return hashed.hexdigest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Encoded):
        yield value.text
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _texts(getattr(value, one.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _texts(item)
