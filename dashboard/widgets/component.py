"""What the widgets drawn in the browser share: one binary payload each way of a rerun, and the memory of a pin."""

from __future__ import annotations

import json
import struct
import unicodedata
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from dashboard.figures import theme

HERE = Path(__file__).parent

QUIET = "\x01"
"""Brackets what `visible` puts in place of a character; it cannot occur in text that `visible` returned otherwise."""

NAMED = {" ": "·", "\n": "↵", "\r": "␍", "\t": "⇥", "\x7f": "␡"}
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _stand_in(character: str) -> str | None:
    """What is shown instead of a character that is invisible or could disturb the page; None: itself."""
    if character in NAMED:
        return NAMED[character]
    if character < " ":
        return chr(0x2400 + ord(character))
    if character in BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp", "Cs", "Co"):
        return f"U+{ord(character):04X}"
    return None


def visible(text: str) -> str:
    """`text` with every character visible: stand-ins for spaces, newlines and controls stand between `QUIET` marks.

    Joiners and variation selectors stay where they hold an emoji or a script together; text of nothing else is spelled
    out. A combining mark without a letter gets a dotted circle.

    >>> visible(" yes").split(QUIET)
    ['', '·', 'yes']
    """
    shown = [_stand_in(character) for character in text]
    if text and all(
        one is None and unicodedata.category(c) in ("Cf", "Mn") for c, one in zip(text, shown, strict=True)
    ):
        if all(unicodedata.combining(c) for c in text):
            return f"{QUIET}\u25cc{QUIET}{text}"
        shown = [f"U+{ord(character):04X}" for character in text]
    out = "".join(c if one is None else f"{QUIET}{one}{QUIET}" for c, one in zip(text, shown, strict=True))
    return out.replace(QUIET + QUIET, "")


@dataclass(frozen=True)
class Deflated:
    """An array on its way to the browser, smaller than it is."""

    dtype: str
    length: int
    """values in the array"""
    data: bytes
    """zlib"""


def deflated(array: np.ndarray) -> np.ndarray | Deflated:
    """`array` for `pack`, compressed; itself where that would not be smaller."""
    data = zlib.compress(_bytes(array), 1)
    return Deflated(array.dtype.name, array.size, data) if len(data) < array.nbytes else array


def _bytes(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray | Deflated]) -> bytes:
    """One block of bytes: length of the header, the header as JSON, the arrays as they are, each at a multiple of 8."""
    listed, parts = [], [b""]
    for name, array in arrays.items():
        if isinstance(array, Deflated):
            listed.append({"name": name, "dtype": array.dtype, "length": array.length, "deflated": len(array.data)})
            parts.append(array.data)
        else:
            listed.append({"name": name, "dtype": array.dtype.name, "length": array.size})
            parts.append(_bytes(array))
    text = json.dumps({**header, "arrays": listed}, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    parts[0] = struct.pack("<I", len(text)) + text
    return b"".join(part + bytes(-len(part) % 8) for part in parts)


def unpack(block: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The slow twin of the reader in common.js, for tests: header and arrays of `pack`."""
    (length,) = struct.unpack_from("<I", block)
    header = json.loads(block[4 : 4 + length])
    at = 4 + length
    arrays = {}
    for one in header.pop("arrays"):
        at += -at % 8
        if "deflated" in one:
            arrays[one["name"]] = np.frombuffer(zlib.decompress(block[at : at + one["deflated"]]), dtype=one["dtype"])
            at += one["deflated"]
        else:
            arrays[one["name"]] = np.frombuffer(block, dtype=one["dtype"], count=one["length"], offset=at)
            at += arrays[one["name"]].nbytes
    return header, arrays


def tables(scales: Sequence[theme.Scale]) -> dict[str, np.ndarray]:
    """The colour tables of the scales in use, light and dark, as arrays of a payload."""
    return {
        f"{scale} {'dark' if dark else 'light'}": theme.browser_table(scale, dark).ravel()
        for scale in dict.fromkeys(scales)
        for dark in (False, True)
    }


def component(name: str) -> Callable[..., Any]:
    """Registers `name`.css and, after common.js, `name`.js of this folder; both travel inline, nothing is fetched."""
    css = (HERE / "common.css").read_text("utf-8") + (HERE / f"{name}.css").read_text("utf-8")
    js = (HERE / "common.js").read_text("utf-8") + (HERE / f"{name}.js").read_text("utf-8")
    return st.components.v2.component(f"candor_{name}", html="<div class='root'></div>", css=css, js=js)


def settle(key: str, given: Any, name: str = "pick") -> tuple[Any, dict[str, Any]]:
    """Which cell is pinned now, and the part of the payload that tells the browser when the page changed its mind.

    The later of two wishes wins: what the page gives as `selected` (when it changes) and what the person clicked. The
    browser moves the pin by itself on a click, so the payload stays the same to the byte and Streamlit does not send it
    again. Kept beside the component's own state, which Streamlit forgets when the component is not shown for one run.
    `name` is what of the component's state it is about; of another than the pin, `cell` stands for any value of JSON.
    """
    wish = {"key": key if name == "pick" else f"{key}.{name}", "cell": given, "turn": 0, "after": None}
    first = {"given": given, "pin": given, "click": None, "wish": wish}
    memory = st.session_state.setdefault(f"{key}.pin" if name == "pick" else f"{key}.{name}", first)
    if memory["given"] != given:
        memory["given"] = given
        if given != memory["pin"]:  # else the page only took over what was clicked
            turn = memory["wish"]["turn"] + 1
            memory["wish"] = {**wish, "turn": turn, "after": memory["click"]}
            memory["pin"] = given
    pick = (st.session_state.get(key) or {}).get(name)
    if pick is not None and pick["click"] != memory["click"]:
        cell = pick["cell"]
        memory["click"], memory["pin"] = pick["click"], tuple(cell) if isinstance(cell, list) else cell
    return memory["pin"], memory["wish"]
