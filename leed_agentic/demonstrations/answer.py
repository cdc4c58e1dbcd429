"""The answer in a reply's text: without thoughts, as data, in whatever dialect of JSON it is written.

Nothing is evaluated. The work is bounded by the text's length: every pass is linear, and passes are few.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from leed_agentic.demonstrations.validate import Finding

MAX_DEPTH = 20
MAX_BLOCKS = 2000
MAX_RESTARTS = 8
MAX_MARKS = 250_000
"""Brackets, texts, words and comments that are looked at. 1000 agents with 50 edges each make about 100,000."""

_THOUGHTS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|seed:think"
_TAG = re.compile(
    rf"<(/?)(?:{_THOUGHTS})>|\[(/?)THINK\]|<\|(begin|end)_of_(?:thought|solution)\|>|[◁](/?)think[▷]", re.IGNORECASE
)
_CHANNEL = re.compile(r"<\|channel\|>\s{0,9}(\w{1,20})[^<]{0,200}(?:<\|constrain\|>[^<]{0,50})?<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_FIRST = re.compile(r"[\[{]")
_OPEN = {"{": "}", "[": "]"}
_STRING = r"\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'"
_COMMENT = r"//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|(?<=[\s,\[{])#[^\n]*"
_MARKS = re.compile(rf"(?P<text>{_STRING})|(?P<skip>{_COMMENT})|(?P<mark>[\[\]{{}}\"'])", re.DOTALL)
_PIECES = re.compile(
    rf"\s*(?:(?P<text>{_STRING})|(?P<skip>{_COMMENT})|(?P<mark>[\[\]{{}}(),:])|(?P<word>[^\s\[\]{{}}(),:\"']+))",
    re.DOTALL,
)
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_PLAIN = {"true", "false", "null"}
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CURLY = str.maketrans({**dict.fromkeys("“”„‟″＂«»", '"'), **dict.fromkeys("‘’‚‛′", "'")})


class Pairs(list[tuple[Any, Any]]):
    """A parsed object as its pairs: a dictionary would silently keep the last of two equal keys."""

    __slots__ = ()


class Broken(str):
    """A number that is no whole one, as it is written."""

    __slots__ = ()


def without_thoughts(text: str) -> str:
    """What a reply says outside of its thoughts, whether they stand before, behind or around it; blank: thoughts only.

    A closing tag without an opening one (the template of some models has opened it) ends a thought that began with the
    text, unless nothing follows: then it is a slip behind the answer.
    """
    if "<|message|>" in text or "<|channel|>" in text:
        text = _final_channel(text)
    outside: list[str] = []
    before_stray: list[str] = []
    depth, position, after_last_close = 0, 0, 0
    for tag in _TAG.finditer(text):
        closing = bool(tag[1] or tag[2] or tag[4]) or (tag[3] or "").lower() == "end"
        if "solution" in tag[0].lower():
            outside.append(text[position : tag.start()] if depth == 0 else "")
            position = tag.end()
            continue
        if depth == 0:
            outside.append(text[position : tag.start()])
        if closing and depth == 0:
            before_stray.extend(outside)
            outside.clear()
        depth = depth - 1 if closing and depth else depth + (not closing)
        position = tag.end()
        after_last_close = position if closing else after_last_close
    if depth == 0:
        outside.append(text[position:])
    answer = "\n".join(part for part in outside if part.strip())
    if not answer and depth and after_last_close:
        # Opened twice and closed once.
        answer = text[after_last_close:] if not _TAG.search(text, after_last_close) else ""
    return answer or "\n".join(part for part in before_stray if part.strip())


def values(text: str) -> Iterator[tuple[Any, str] | Finding]:
    """Every outermost object or list in the text, objects as `Pairs`; in place of one that has no value, why."""
    whole = text.strip()
    trouble = "no data"
    if whole[:1] in _OPEN and whole[-1:] in _OPEN.values():
        value, trouble = strict(whole)
        if not trouble:
            yield value, ""
            return
    budget = Budget()
    for block in itertools.islice(_blocks(text, budget), MAX_BLOCKS):
        if isinstance(block, Finding):
            yield block
            continue
        value, wrong = (None, trouble) if block == whole else strict(block)
        yield _lenient(block, budget, wrong) if wrong else (value, "")


@dataclass
class Budget:
    """Marks and words that may still be looked at: what bounds the time, however a text is made."""

    left: int = MAX_MARKS

    def spend(self) -> None:
        """Raises ValueError when nothing is left."""
        self.left -= 1
        if self.left < 0:
            raise ValueError("it has too many brackets, quotes and words")


def strict(block: str) -> tuple[Any, str]:
    """The value of a block of JSON, or None and why it has none."""
    try:
        return _loads(block), ""
    except (ValueError, RecursionError) as error:
        return None, f"not valid JSON: {str(error)[:80]}"


def _lenient(block: str, budget: Budget, trouble: str) -> tuple[Any, str]:
    """Python's and JavaScript's ways of writing it: comments, single and curly quotes, bare words, trailing commas."""
    for text in dict.fromkeys((block, block.translate(_CURLY))):
        try:
            return _loads(_as_json(text, budget)), ""
        except (ValueError, RecursionError):
            continue
    return None, trouble


def _loads(text: str) -> Any:
    # SUMO's ids are often bare numbers, and thousands of digits are no number: whole ones stay as they are written.
    return json.loads(text, object_pairs_hook=Pairs, parse_int=str, parse_float=Broken, parse_constant=Broken)


def _as_json(text: str, budget: Budget) -> str:
    """The same data in strict JSON, as far as its pieces are known; bare words become texts.

    Raises:
        ValueError: the budget is used up.
    """
    pieces: list[str] = []
    for piece in _PIECES.finditer(text):
        budget.spend()
        written = piece[piece.lastgroup or 0]
        if piece.lastgroup == "skip":
            continue
        if piece.lastgroup == "text":
            written = _quoted(written)
        elif piece.lastgroup == "word":
            written = _word(written)
        else:
            written = {"(": "[", ")": "]"}.get(written, written)
            if pieces and written in "]}" and pieces[-1] == ",":
                pieces.pop()
            elif pieces and written == ":" and pieces[-1][0] != '"':
                pieces[-1] = json.dumps(pieces[-1])
        pieces.append(written)
    return "".join(pieces)


def _quoted(written: str) -> str:
    if written[0] == '"' and "\\" not in written:
        return written
    return json.dumps(_ESCAPE.sub(_unescaped, written[1:-1]))


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}.get(escape, escape)


def _word(written: str) -> str:
    if written.translate(_CURLY) != written:
        raise ValueError("curly quotes around a text")
    word = _WORDS.get(written, written)
    return word if word in _PLAIN or (len(word) < 1000 and _NUMBER.fullmatch(word)) else json.dumps(word)


def _final_channel(text: str) -> str:
    """What stands in the final channels of a harmony reply; else in a tool call; blank: analysis only."""
    said: dict[str, list[str]] = {}
    for start in _CHANNEL.finditer(text):
        end = _CHANNEL_END.search(text, start.end())
        said.setdefault(start[1].lower(), []).append(text[start.end() : end.start() if end else len(text)])
    if not said:
        return _CHANNEL_END.sub(" ", text.replace("<|message|>", " "))
    return "\n".join(said.get("final") or said.get("commentary") or [])


def _blocks(text: str, budget: Budget) -> Iterator[str | Finding]:
    """Every outermost balanced {...} or [...]; one pass, and at most MAX_RESTARTS more after a bracket never closed.

    What a reply that was cut off says before the cut is closed and counts.
    """
    position, restarts = 0, 0
    while restarts <= MAX_RESTARTS:
        stack: list[str] = []
        kept = ""
        start = deepest = until = 0
        broken = False
        while True:
            mark = _FIRST.search(text, position) if not stack else _MARKS.search(text, position)
            if mark is None:
                break
            position = mark.end()
            try:
                budget.spend()
            except ValueError as error:
                yield Finding(None, "unreadable", f"The reply cannot be read: {error}; give the routes alone.")
                return
            character = mark[0] if not stack else mark["mark"] or ""
            if not stack:
                start, deepest = mark.start(), 1
                stack.append(_OPEN[character])
            elif mark["text"]:
                if stack[-1] == "]" and len(stack) <= MAX_DEPTH:
                    until, kept = mark.end(), "".join(reversed(stack))
            elif character in _OPEN:
                stack.append(_OPEN[character])
                deepest = max(deepest, len(stack))
            elif character == stack[-1]:
                stack.pop()
                if len(stack) <= MAX_DEPTH:
                    until, kept = mark.end(), "".join(reversed(stack))
                if not stack:
                    if deepest > MAX_DEPTH:
                        yield Finding(None, "unreadable", f"The reply nests brackets {deepest} levels deep; use two.")
                    else:
                        yield text[start : mark.end()]
            elif character and character in "]}":
                broken = True
                break
            elif character:
                # Neither JSON nor Python lets a text run over the end of a line; an apostrophe in prose ends there.
                end = text.find("\n", position)
                position = len(text) if end < 0 else end
        if not stack:
            return
        if not broken and kept:
            yield text[start:until] + kept
        restarts += 1
        further = _FIRST.search(text, start + 1)
        if len(stack) > MAX_DEPTH or further is None or restarts > MAX_RESTARTS:
            yield Finding(None, "unreadable", "The reply ends before its brackets are closed; give shorter routes.")
            return
        position = further.start()
