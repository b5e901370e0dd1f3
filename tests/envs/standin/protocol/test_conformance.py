"""Some of PySC2's own tests of the game; ``make conformance`` runs them all."""

from __future__ import annotations

import pytest

pytest.importorskip("websockets")
pytest.importorskip("pysc2_evolved")

from tests.conformance import documented, run

QUICK = {
    "ping::test_ping",
    "protocol_error::test_error",
    "protocol_error::test_replay_a_replay",
    "debug::test_multi_player",
    "general_actions::test_general_actions",
    "obs_spec::test_observation_matches_obs_spec",
    "step_mul_override::test_respects_override",
    "random_agent::test_random_agent[features]",
}


def test_the_quick_ones_pass() -> None:
    wanted = "ping or protocol_error or debug or general_actions or matches_obs_spec or respects_override or features"
    results = run(f"({wanted}) and not multi_player_env")
    assert {name for name, wrong in results.items() if not wrong} == QUICK, results


def test_the_page_is_whole() -> None:
    known = documented()
    assert len(known) == 43
    assert {name for name, passes in known.items() if passes} >= QUICK


@pytest.mark.slow
def test_all_that_the_page_says() -> None:
    results = run()
    assert {name: not wrong for name, wrong in results.items()} == documented(), results
