"""How much of a person's wishes a model understands: the twenty briefs of briefs.json, of two to four wishes each.

    python benchmarks/briefs.py --model stand-in
    python benchmarks/briefs.py --model openai:qwen -s model.base_url=http://127.0.0.1:8080/v1 --record asked

understood: rules that were accepted and mean what is meant. wrong: accepted and mean something else; a person sees them
before anything is driven, and they have to be none all the same. said: wishes that came to no rule, with a sentence
that says so; silent: without. Prints a row a brief, the sums, and as its last line JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.rules.brief import Reading, read_brief
from leed_agentic.demonstrations.rules.rule import RULE
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.recording import ReplyCache
from leed_agentic.settings import load_settings

BRIEFS = Path(__file__).parent / "briefs.json"
KINDS = ("expected", "understood", "wrong", "said", "silent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("-s", "--set", action="append", default=[], help="any setting")
    parser.add_argument("--record", type=Path, help="a folder for calls.jsonl; asked again, nothing is")
    parser.add_argument("--first", type=int, help="only so many briefs")
    options = parser.parse_args()
    settings = load_settings(None, options.set, {"model.name": options.model}).model
    file = options.record / "calls.jsonl" if options.record else None
    caller = ModelCaller(settings, file, {"benchmark": "briefs"}, ReplyCache(file) if file else None)
    sums = dict.fromkeys(KINDS, 0)
    rows = []
    for case in json.loads(BRIEFS.read_text(encoding="utf-8"))[: options.first]:
        reading = read_brief(case["brief"], caller, PromptSet.load())
        row = judged(case, reading)
        rows.append({**row, "brief": case["brief"], "rules": [str(rule) for rule in reading.rules]})
        sums = {kind: sums[kind] + row[kind] for kind in KINDS}
        print(", ".join(f"{kind} {row[kind]}" for kind in KINDS), "|", case["brief"], flush=True)
        for rule in row["mistaken"]:
            print("   wrong:", rule)
    caller.close()
    print(f"{len(rows)} briefs:", ", ".join(f"{kind} {sums[kind]}" for kind in KINDS))
    print(json.dumps({"benchmark": "briefs", "model": options.model, "sums": sums, "rows": rows}, ensure_ascii=False))


def judged(case: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    wanted = [meaning(rule) for rule in case["rules"]]
    found = {str(rule): meaning(rule.model_dump()) for rule in reading.rules}
    mistaken = [rule for rule, meant in found.items() if meant not in wanted]
    missed = [rule["words"] for rule, meant in zip(case["rules"], wanted, strict=True) if meant not in found.values()]
    said = sum(any(words in doubt for doubt in reading.not_understood) for words in missed)
    counts = (len(wanted), len(wanted) - len(missed), len(mistaken), said, len(missed) - said)
    return {**dict(zip(KINDS, counts, strict=True)), "mistaken": mistaken}


def meaning(row: Mapping[str, Any]) -> dict[str, Any]:
    """A rule without its words and without how it is written."""
    fields = RULE.validate_python(dict(row)).model_dump(exclude={"words"})
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold().removesuffix("s")
    return sorted(value) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
