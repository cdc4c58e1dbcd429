"""What a person wishes of a fleet, as rules that are checked: by hand as JSON, or read from words by the model."""

from leed_agentic.demonstrations.rules.brief import Reading, read_brief, read_rules
from leed_agentic.demonstrations.rules.compiled import Broken, Rules, Verdict
from leed_agentic.demonstrations.rules.rule import Rule

__all__ = ["Broken", "Reading", "Rule", "Rules", "Verdict", "read_brief", "read_rules"]
