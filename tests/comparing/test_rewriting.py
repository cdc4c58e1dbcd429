import pytest

from leed_agentic.comparing.rewriting import template_in


@pytest.mark.parametrize(
    "reply",
    [
        "```\n<template>\nPlan $agents.\n```",
        "```\n<template>\nPlan $agents.\n</template>\n```",
        "Here:\n```\n<template>\n<template>\nPlan $agents.\n</template>\n\nRules: keep $agents.\n```",
        "<template>\nPlan $agents.\n</template>",
    ],
)
def test_tags_of_the_request_are_no_part_of_a_template(reply):
    assert template_in(reply) == "```\nPlan $agents.\n```"


def test_other_replies_stay_as_they_are():
    assert template_in("```\nPlan $agents.\n```") == "```\nPlan $agents.\n```"
