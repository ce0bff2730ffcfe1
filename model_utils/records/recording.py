"""What is kept of an analysis, beside its result: of exactly which weights, asked how, computed with what."""

from __future__ import annotations

import hashlib
import platform
import secrets
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import metadata
from typing import Any

from model_utils.contracts.common import Encoded, Request, Specs
from model_utils.contracts.load_report import LoadReport
from model_utils.contracts.records import Entry, Environment, Record
from model_utils.errors import Refused
from model_utils.records.store import Store

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "scipy", "scikit-learn", "rapidfuzz")
"""Whose versions can change a number of a result."""


def environment() -> Environment:
    """Of this process; it imports nothing."""
    return Environment(
        system=f"{platform.system()} {platform.machine()}",
        versions=(("Python", platform.python_version()), *((name, metadata.version(name)) for name in PACKAGES)),
    )


def make(
    kind: str, specs: Specs, request: Request, result: Any, opened: LoadReport, seconds: float, author: str = ""
) -> Record:
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
        author=author,
    )


def keep(store: Store, session: str, record: Record) -> Entry:
    """The record as the session's next entry, on the disk when this returns."""
    return store.append(session, "record", record)


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
