import imageio.v3 as imageio
import numpy as np
import pytest
from gymnasium import spaces

from agents.acting import video as watch
from agents.acting.evaluate import RandomPlayer
from agents.errors import UserError
from envs import registry
from envs.spaces import Functions, Place, Pointers

FUNCTIONS = Functions(
    {"no_op": [], "Move_screen": ["queued", "screen"], "select": ["units"]},
    {"queued": spaces.Discrete(2), "screen": Place("screen", 4, 8), "units": Pointers("units", 12)},
)


@pytest.mark.parametrize(
    ("space", "action", "words"),
    [
        (FUNCTIONS, {"function": 0, "queued": 0, "screen": 0, "units": np.zeros(12)}, "no_op()"),
        (FUNCTIONS, {"function": 1, "queued": 1, "screen": 19, "units": np.zeros(12)}, "Move_screen(1, [3, 2])"),
        (FUNCTIONS, {"function": 2, "queued": 0, "screen": 0, "units": np.eye(12)[3]}, "select({3})"),
        (spaces.Discrete(3), np.int64(2), "2"),
        (spaces.MultiBinary(3), np.array([1, 0, 1]), "[1, 0, 1]"),
        (spaces.Box(-1, 1, (2,)), np.array([0.123, -1.0]), "[ 0.12 -1.  ]"),
        (
            spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)])}),
            {"a": 1, "b": (0, 2)},
            "a 1, b 0, 2",
        ),
    ],
)
def test_an_action_in_words(space, action, words):
    assert watch.describe_action(space, action) == words


@pytest.mark.parametrize(("height", "width"), [(84, 84), (401, 601), (3, 700), (900, 11)])
def test_a_caption_keeps_the_picture_whole_and_the_sides_even(height, width):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    frame = watch.caption(picture, "title " * 60, "episode 1  step 1", "words " * 60, 1.0, 3.0)
    factor = max(1, -(-watch.SMALLEST_SIDE // max(height, width)))
    enlarged = picture.repeat(factor, 0).repeat(factor, 1)
    left = (frame.shape[1] - enlarged.shape[1]) // 2
    np.testing.assert_array_equal(frame[: enlarged.shape[0], left : left + enlarged.shape[1]], enlarged)
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    assert (frame[enlarged.shape[0] :] != watch.BACKGROUND).any(), "no text"


@pytest.mark.parametrize("name", ["it.gif", "it.mp4"])
def test_a_video_has_a_frame_a_step(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = registry.make("CartPole-v1", 1, render_mode="rgb_array")
    frames = list(watch.frames(RandomPlayer(env.single_action_space, 0), env, 2, 3, "CartPole-v1, random"))
    env.close()
    assert watch.write_video(frames, tmp_path / "new" / name, 25.0) == len(frames)
    seen = imageio.imread(tmp_path / "new" / name)
    assert seen.shape[1:] == frames[0].shape
    if name.endswith(".mp4"):
        assert len(seen) == len(frames)  # a GIF may join frames that are alike
    assert np.abs(seen[0].astype(int) - frames[0]).mean() < 12


def test_the_frame_rate_is_the_environments_own():
    assert watch.frame_rate(registry.make("CartPole-v1", 1)) == 50
    assert watch.frame_rate(registry.make("sim/MoveToBeacon", 1)) == pytest.approx(22.4 / 8)


def test_an_environment_without_pictures_is_refused():
    env = registry.make("CartPole-v1", 1)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render"), pytest.raises(UserError, match="draws no pictures"):
        watch.render(env)


class Drawn:
    """A vector environment, as far as drawing goes."""

    def __init__(self, picture):
        self.picture = picture

    def render(self):
        return (self.picture,)


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


@pytest.mark.parametrize(
    "picture",
    [
        GREY,
        GREY[..., None],
        GREY.tolist(),
        np.stack([GREY] * 3, -1),
        np.stack([GREY] * 4, -1),
        GREY / np.float32(255),
        GREY[..., None] / 255,
        GREY.astype(np.float64),
        GREY.astype(np.int64),
    ],
)
def test_pictures_come_in_many_forms(picture):
    shown = watch.render(Drawn(picture))
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, np.stack([GREY] * 3, -1))


def test_truth_values_and_what_is_out_of_range_are_shown():
    assert watch.render(Drawn(np.eye(2, dtype=bool)))[..., 0].tolist() == [[255, 0], [0, 255]]
    odd = np.array([[np.nan, 300.0], [-5.0, 7.0]])
    assert watch.render(Drawn(odd))[..., 0].tolist() == [[0, 255], [0, 7]]


@pytest.mark.parametrize(
    "picture", [None, "text", np.zeros((2, 2, 2)), np.zeros(4), np.zeros((0, 4, 3)), np.zeros((2, 2), object)]
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(UserError, match="draws no pictures"):
        watch.render(Drawn(picture))


@pytest.mark.parametrize("name", ["it.gif", "it.mp4"])
def test_frames_that_change_size_are_all_shown(tmp_path, name):
    sizes = [(480, 512), (480, 512), (300, 512), (700, 900), (480, 100)]
    pictures = [np.full((*size, 3), 40 * (i + 1), np.uint8) for i, size in enumerate(sizes)]
    assert watch.write_video(pictures, tmp_path / name, 5.0) == 5
    seen = imageio.imread(tmp_path / name)
    assert seen.shape[:3] == (5, 480, 512)
    for i, frame in enumerate(seen):
        assert abs(int(frame[240, 256, 0]) - 40 * (i + 1)) < 8
