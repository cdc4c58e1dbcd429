"""The one place where a model is asked: total time limit, visible retries, caps, and every call on record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

from leed_agentic.credentials import plain_address, without_keys
from leed_agentic.models.connect import effective_settings, name_of
from leed_agentic.models.connection import Connection
from leed_agentic.models.failure import Failure, understand
from leed_agentic.models.pace import Pace
from leed_agentic.models.providers import NEEDS_NO_KEY, NO_LLM, REPLAY, STAND_IN, key_of
from leed_agentic.models.recording import SAMPLING, CallLog, Recording, ReplyCache, call_key, shipped_recording
from leed_agentic.models.reply import Reply, reply_of
from leed_agentic.models.threads import together
from leed_agentic.models.tracing import check_tracing
from leed_agentic.models.usage import CHARACTERS_PER_TOKEN, CapReached, Totals, Usage, check_caps, check_first
from leed_agentic.setting_groups import ModelSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["CapReached", "Message", "ModelCaller", "Reply", "Usage"]

LONGEST_REPLY = 4096
"""Tokens that a reply is expected to have at most where no limit is sent."""

_LOADING_PAUSE = 5.0
# Digits, the densest text there is, have two or three characters a token and prose four or five.
_CUT_PROMPT = 12
_SHORT_PROMPT = 2000

_log = logging.getLogger(__name__)


class Message(TypedDict):
    """One turn of a chat. One that called tools is as `Reply.text` has it; the results follow as `tool`, one each."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


Question = tuple[Sequence[Message], str, Mapping[str, Any] | None]
"""Messages, purpose and the schema of the reply: the arguments of `ask`."""


class ModelCaller:
    """Asks the model that the settings name, or plays a recording back, and keeps account.

    Args:
        calls_file: where every call is appended as a line; None keeps no record.
        made_with: scenario and settings, for the head of that file. No secrets.
        cache: replies that need not be asked for again; their tokens and seconds are as recorded.
        chat: a chat model of one's own to ask in place of the one that the settings name; its sampling and its limit
            on tokens are its own, and it makes its own retries, if any.

    Attributes:
        usage: counts so far.
        totals: what all replies took, replayed ones as when they were made.
        label: how to name the model to people, such as `replay of openai:gpt-4o-mini`.
        recording: what is played back, else None.
        recorded: replies on the run's record, those of earlier processes included.

    Raises:
        UsageError: the settings name no usable model, key, recording, file or tracer, or a cap that means nothing.
    """

    def __init__(
        self,
        settings: ModelSettings,
        calls_file: Path | None,
        made_with: Mapping[str, Any],
        cache: ReplyCache | None = None,
        chat: BaseChatModel | None = None,
    ) -> None:
        if chat is not None:
            settings = settings.model_copy(update={"name": name_of(chat), "base_url": None, "structured": False})
        self.settings = settings
        self.pace = Pace(settings)
        self.usage = Usage()
        self.totals = Totals()
        self.recording: Recording | None = None
        self._cache = cache
        self.recorded = cache.kept if cache else 0
        self._connection = Connection(settings, chat)
        self._warned = False
        self._lock = threading.Lock()
        check_caps(settings)
        check_tracing(settings)
        if settings.name == REPLAY:
            self.recording = Recording.load(settings.replay or shipped_recording())
            self.model = self.recording.model
            self.label = f"replay of {_label(self.recording.model['name'])}"
        else:
            if cache is not None and cache.only:
                # What is never called needs no key.
                self.model = cache.model
            else:
                self.model = effective_settings(settings, self._connection.chat(settings.max_output_tokens))
                provider = settings.name.partition(":")[0]
                if settings.base_url and not settings.send_key and key_of(provider):
                    _log.warning(
                        "%s gets no key, because a file names it or model.send_key is off; name it with --base-url "
                        "on this call to send the key.",
                        plain_address(settings.base_url),
                    )
            self.label = _label(settings.name)
        self._log = CallLog(calls_file, made_with, self.model) if calls_file else None

    @property
    def structured(self) -> bool:
        """Whether schemas are sent: model.structured, as recorded for a replay; the stand-in ignores it."""
        return bool(self.model.get("structured"))

    @property
    def longest_reply(self) -> int:
        """The limit on the tokens of a reply, as recorded for a replay."""
        return int(self.model.get("max_output_tokens") or self.settings.max_output_tokens or LONGEST_REPLY)

    @property
    def cost(self) -> float | None:
        """The cost so far, in the currency of the prices; None where it is unknown."""
        return self.usage.cost(self.settings)

    def ask(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        max_output_tokens: int | None = None,
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Reply:
        """One question and its reply; a reply may be empty or cut, that is for the reader to judge.

        Args:
            purpose: what the call is for, in a word or two; a note in the record, not sent.
            max_output_tokens: a tighter limit for this call; the settings' own when None.
            schema: JSON schema of the reply, sent only where `structured` says so; the server may ignore it.
            tools: name, description and parameters (a JSON schema) of what the model may call; a server that knows no
                tools gets none, and its model can only write a call as text.

        Raises:
            CapReached: the run's cap on calls, tokens or cost; nothing was sent.
            UnavailableError: the model cannot be reached or keeps failing.
            UsageError: the model refuses the key or the request, the recording does not hold it, or the very first
                prompt alone breaks a cap.
        """
        self._admit(messages)
        return self._answer(messages, purpose, schema, max_output_tokens, tools)

    def ask_all(self, questions: Sequence[Question], max_output_tokens: int | None = None) -> Iterator[Reply]:
        """Replies to (messages, purpose, schema), in order, `concurrent_calls` of them asked at the same time.

        The next few begin when the last few have all ended, so that caps stop at the same question whichever reply
        comes first. The record has them in the order in which they came. What was asked together is answered and on
        record before the first error among it is raised.

        Args:
            max_output_tokens: a tighter limit for these calls; the settings' own when None.

        Raises:
            CapReached, UnavailableError, UsageError: as `ask`, in the place of the reply that is missing.
        """
        at_once = self.settings.concurrent_calls
        for first in range(0, len(questions), at_once):
            admitted: list[Callable[[], Reply]] = []
            refused: CapReached | None = None
            for messages, purpose, schema in questions[first : first + at_once]:
                try:
                    self._admit(messages)
                except CapReached as reached:
                    refused = reached
                    break
                admitted.append(partial(self._answer, messages, purpose, schema, max_output_tokens))
            # Nothing is waited for where the answer is computed or looked up.
            if self.settings.name in NEEDS_NO_KEY:
                yield from (work() for work in admitted)
            else:
                yield from together(admitted)
            if refused is not None:
                raise refused

    def _admit(self, messages: Sequence[Message]) -> None:
        """Count one more call. Raises CapReached, or UsageError when the very first prompt alone breaks a cap."""
        with self._lock:
            self.usage.check(self.settings)
            if self.usage.calls == 0:
                check_first(sum(len(m["content"]) for m in messages), self.settings)
            self.usage.calls += 1

    def _answer(
        self,
        messages: Sequence[Message],
        purpose: str,
        schema: Mapping[str, Any] | None,
        max_output_tokens: int | None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Reply:
        sampling = {word: self.model.get(word) for word in SAMPLING}
        if max_output_tokens is not None and sampling["max_output_tokens"] is not None:
            sampling["max_output_tokens"] = max_output_tokens
        # Text that holds a key's value would be found under another key once the record is cleared of it.
        asked: list[Message] = [{"role": m["role"], "content": without_keys(m["content"])} for m in messages]
        sent = schema if self.structured else None
        call: dict[str, Any] = {
            "key": call_key(asked, sampling, sent, self.model.get("extra_body"), tools),
            "purpose": purpose,
            "messages": asked,
        }
        call |= {"model": self.model["name"], "settings": sampling}
        if sent:
            call["schema"] = sent
        if tools:
            call["tools"] = [tool["name"] for tool in tools]
        if self.model.get("extra_body"):
            call["extra_body"] = self.model["extra_body"]
        recorded, kept = self._cache.take(call["key"]) if self._cache else (None, False)
        if self.recording is not None:
            # Its turns go on whether or not the run has this reply on its own record.
            recorded = self.recording.answer(call["key"])
        if recorded is not None:
            return self._replayed(recorded, call, kept)
        with self.pace.place():
            return self._tried(call, asked, sampling["max_output_tokens"], tools)

    def go_on(self, recorded: int, usage: Mapping[str, Any]) -> None:
        """Take up a run of which so many replies are used up, and so much is spent of its caps."""
        if self._cache:
            self._cache.pass_over(recorded)
        self.recorded = max(self.recorded, recorded)
        self.usage = Usage(**usage)

    def close(self) -> None:
        """Close the record; asking again is an error."""
        if self._log:
            self._log.close()

    def _replayed(self, recorded: Mapping[str, Any], call: dict[str, Any], kept: bool = False) -> Reply:
        reply = Reply(
            text=recorded["reply"],
            input_tokens=recorded.get("input_tokens"),
            output_tokens=recorded.get("output_tokens"),
            seconds=recorded.get("seconds") or 0.0,
            finish_reason=str(recorded.get("finish_reason") or "stop"),
            replayed=True,
            reasoning=recorded.get("reasoning") or "",
            refusal=recorded.get("refusal") or "",
        )
        with self._lock:
            if kept and not recorded.get("replayed"):
                # The run itself has paid for it, before it was stopped.
                self.usage.seconds += reply.seconds
                self.usage.input_tokens += reply.input_tokens or 0
                self.usage.output_tokens += reply.output_tokens or 0
            else:
                self.usage.replayed_calls += 1
            # The cap on calls ends a replay where it ended the run.
            self.usage.retries += int(recorded.get("attempt") or 0)
            self._keep(call, reply, kept=kept)
        return reply

    def _tried(
        self, call: dict[str, Any], messages: list[Message], limit: int | None, tools: Sequence[Mapping[str, Any]]
    ) -> Reply:
        attempt = failures = 0
        began = time.monotonic()
        while True:
            self.pace.turn()
            started = time.perf_counter()
            # Read before the call: another thread may adapt to the server meanwhile.
            left_out = self._connection.left_out()
            try:
                message = self._connection.invoke(messages, limit, call.get("schema"), tools)
                reply = reply_of(message, time.perf_counter() - started, bool(tools))
            except Exception as error:
                # Each provider's client raises its own classes, and any error of the stand-in is a fault of ours.
                if self.settings.name == STAND_IN:
                    raise
                failure = understand(error, self.settings.name, self._server(), self.settings.timeout_seconds)
            else:
                with self._lock:
                    self.usage.seconds += reply.seconds
                    self.usage.input_tokens += reply.input_tokens or 0
                    self.usage.output_tokens += reply.output_tokens or 0
                    self._keep({**call, "adapted": left_out} if left_out else call, reply, attempt)
                self._look_at(reply, sum(len(m["content"]) for m in messages))
                return reply
            seconds = time.perf_counter() - started
            adapts = self._connection.adapt(failure.unsupported) or (
                bool(failure.unsupported) and left_out != self._connection.left_out()
            )
            waits = failure.loading and time.monotonic() - began < self.settings.timeout_seconds
            failures += not (adapts or waits)
            final = not adapts and not waits and (not failure.again or failures > self.settings.retries)
            with self._lock:
                final = final or self.usage.tries_left(self.settings) < 1
                self.usage.seconds += seconds
                self.usage.retries += not final
                if self._log:
                    tried = {"attempt": attempt, "error": str(failure.error), "status": failure.status}
                    self._log.add({**call, **tried, "seconds": seconds})
            if final:
                raise failure.error
            if not adapts:
                self._pause(failure, attempt)
            attempt += 1

    def _pause(self, failure: Failure, attempt: int) -> None:
        seconds = failure.pause
        if seconds is None:
            seconds = self.settings.retry_seconds * 2 ** min(attempt, 10)
            seconds = min(seconds, _LOADING_PAUSE) if failure.loading else seconds
        time.sleep(seconds)
        with self._lock:
            self.usage.seconds += seconds

    def _look_at(self, reply: Reply, characters: int) -> None:
        """Warn once where the server seems to have read the beginning or the end of a prompt only."""
        read = reply.input_tokens
        if read is None or characters < _SHORT_PROMPT or read * _CUT_PROMPT >= characters or self._warned:
            return
        self._warned = True
        _log.warning(
            "%s at %s says that it read %d tokens of a prompt of %d characters and seems to have cut it; give "
            "the server a longer context (llama.cpp: -c, Ollama: num_ctx), or lower demonstration.prompt_tokens.",
            *(self.settings.name, self._server(), read, characters),
        )

    def _server(self) -> str:
        return self.model["base_url"] or f"{self.settings.name.partition(':')[0]}'s server"

    def _keep(self, call: Mapping[str, Any], reply: Reply, attempt: int = 0, kept: bool = False) -> None:
        seconds = round(reply.seconds, 4)
        self.totals.add(reply.input_tokens, reply.output_tokens, seconds)
        if reply.input_tokens is None or reply.output_tokens is None:
            self.usage.unreported_calls += 1
        sent = sum(len(m["content"]) for m in call["messages"])
        self.usage.counted_input += _counted(reply.input_tokens, sent)
        self.usage.counted_output += _counted(reply.output_tokens, len(reply.text))
        if self._log and not kept:
            answer = {"reply": reply.text, "finish_reason": reply.finish_reason, "attempt": attempt, "error": None}
            answer |= {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
            answer |= {word: said for word in ("reasoning", "refusal") if (said := getattr(reply, word))}
            self._log.add({**call, **answer, "seconds": seconds, "replayed": reply.replayed})
            self.recorded += 1


def _counted(reported: int | None, characters: int) -> int:
    return characters // CHARACTERS_PER_TOKEN if reported is None else reported


def _label(name: str) -> str:
    return NO_LLM if name == STAND_IN else name
