"""What the camera sees, against the game's own flags."""

import numpy as np
import pytest

from envs.standin.show.camera import sees
from tests.envs.starcraft import recorded

GROUND = {"16-BitLE": 12, "AcropolisLE": 12, "AltitudeAIE": 16, "GoldenauraAIE": 12, "layers": 9}
"""How high the ground is where the camera looks: that of the own base, or of what is on the screen."""


@pytest.mark.parametrize("name", GROUND)
def test_each_unit_of_a_recording_is_on_the_screen_or_not_as_the_game_says(name):
    message = recorded.with_layers() if name == "layers" else recorded.ladder(name)[0]
    camera = message.observation.raw_data.player.camera
    units = message.observation.raw_data.units
    at = [(u.pos.x - camera.x, u.pos.y - camera.y, u.radius, u.pos.z - GROUND[name]) for u in units]
    flags = [u.is_on_screen for u in units]
    assert len(flags) > 150
    np.testing.assert_array_equal(sees(*np.array(at).T), flags)
    assert [bool(sees(*one)) for one in at] == flags


def test_on_flat_ground_it_is_a_trapezoid():
    """Straight sides, wider above than below."""
    grid = np.linspace(-40, 40, 801)
    seen = sees(grid[:, None], grid[None, :], 0.0)
    widths = seen.sum(0)
    rows = np.flatnonzero(widths)
    assert np.all(np.diff(rows) == 1)
    steps = np.diff(widths[rows])
    assert steps.min() >= 0
    assert steps.max() <= 2
    left, right = grid[seen.argmax(0)[rows]], -grid[800 - seen[::-1].argmax(0)[rows]]
    np.testing.assert_allclose(left, right, atol=1e-9)
    assert grid[rows[0]] == pytest.approx(-7.5, abs=0.2)
    assert grid[rows[-1]] == pytest.approx(10.0, abs=0.2)
    assert widths[rows[-1]] > 1.3 * widths[rows[0]]
