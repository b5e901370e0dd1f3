"""A callback: stop when the return is good enough.

perceiver-rl train --env CartPole-v1 --extensions examples/extend/callback.py --callbacks good_enough
"""

from collections.abc import Mapping

import perceiver_rl
from agents.runs.callbacks import RunState


@perceiver_rl.register("callback", "good_enough")
class GoodEnough(perceiver_rl.Callback):
    """Ends the run where the latest 100 episodes have earned 50 on average."""

    def on_update(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """After every update; ``metrics`` are the line in metrics.jsonl."""
        if metrics.get("episode/return", 0.0) >= 50:
            run.stop(f"a return of {metrics['episode/return']:.0f} is good enough")
