"""Comparisons of models, prompts and ways of planning: trials on the same scenarios, verdicts, leaderboards."""
