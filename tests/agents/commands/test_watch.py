import imageio.v3 as imageio
import numpy as np
import optree
import pytest
import torch
from gymnasium import spaces

from agents.acting import video as watch
from agents.acting.evaluate import RandomPlayer
from agents.acting.player import PolicyPlayer
from agents.commands.cli import run
from agents.commands.train import parse_train
from agents.errors import UserError
from envs import registry
from envs.spaces import Choice, Functions, PerUnit, Place, Pointer, Pointers
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy

FUNCTIONS = Functions(
    {"no_op": [], "Move_screen": ["queued", "screen"], "select": ["units"]},
    {"queued": spaces.Discrete(2), "screen": Place("screen", 4, 8), "units": Pointers("units", 12)},
)
NAMED = Functions(
    {"select_point": ["act", "screen"]},
    {"act": Choice(["select", "toggle", "select_all_type"]), "screen": Place(None, 4, 8)},
)
ORDERS = PerUnit("units", 4, {"no_op": [], "Stop": [], "Move": ["unit"]}, {"unit": Pointer("units", 4)})


@pytest.mark.parametrize(
    ("space", "action", "words"),
    [
        (FUNCTIONS, {"function": 0, "queued": 0, "screen": 0, "units": np.zeros(12)}, "no_op()"),
        (FUNCTIONS, {"function": 1, "queued": 1, "screen": 19, "units": np.zeros(12)}, "Move_screen(queued 1, [3, 2])"),
        (NAMED, {"function": 0, "act": 2, "screen": 19}, "select_point(select_all_type, [3, 2])"),
        (FUNCTIONS, {"function": 2, "queued": 0, "screen": 0, "units": np.eye(12)[3]}, "select({3})"),
        (ORDERS, {"function": np.array([2, 0, 2, 1]), "unit": np.zeros(4)}, "Stop x 1, Move x 2"),
        (ORDERS, {"function": np.zeros(4, int), "unit": np.zeros(4)}, "no_op"),
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


def test_arguments_of_the_game_are_told_by_their_names_in_pysc2():
    actions = pytest.importorskip("pysc2_evolved.lib.actions")
    from envs.starcraft.interface import VALUES

    enums = {
        "queued": actions.Queued, "control_group_act": actions.ControlGroupAct, "select_add": actions.SelectAdd,
        "select_point_act": actions.SelectPointAct, "select_unit_act": actions.SelectUnitAct,
        "select_worker": actions.SelectWorker,
    }  # fmt: skip
    assert {name: tuple(value.name for value in enum) for name, enum in enums.items()} == dict(VALUES)


def test_each_frame_shows_where_the_action_points(monkeypatch):
    env = registry.make("sim/MoveToBeacon", 1, render_mode="rgb_array")
    marked, changed = [], []
    mark = env.mark

    def compare(action):
        before = env.render()[0]
        mark(action)
        changed.append(bool((env.render()[0] != before).any()))
        marked.append(action)

    monkeypatch.setattr(env, "mark", compare)
    frames = watch.frames(RandomPlayer(env.single_action_space, 0), env, 1, 0, "x")
    assert len({next(frames).shape for _ in range(12)}) == 1
    functions = [env.interface.functions[int(action["function"][0])] for action in marked]
    assert changed == ["screen" in env.interface.chosen_arguments(name) for name in functions]
    assert set(changed) == {True, False}
    assert watch.expected_frames(env, 3) == 3 * 240
    assert watch.expected_frames(registry.make("CartPole-v1", 1), 3) is None


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    pytest.importorskip("websockets")
    pytest.importorskip("s2clientprotocol.sc2api_pb2")
    from tests.envs.standin.protocol.requests.test_replays import recorded

    seen, data = recorded(steps=30)
    file = tmp_path_factory.mktemp("replays") / "roaches.SC2Replay"
    file.write_bytes(data)
    return file, seen[-1]


def test_a_replay_can_be_watched(replay, tmp_path, capsys):
    file, (loops, _, _) = replay
    assert run(["watch", str(file), "--video", str(tmp_path / "it.gif")]) == 0
    count = int(capsys.readouterr().out.split()[0])
    assert count == 1 + -(-loops // 8)
    assert (tmp_path / "it.gif").stat().st_size > 1000


def test_a_replay_shows_the_game_that_was_played(replay, monkeypatch):
    from envs.standin import playback

    file, (loops, units, score) = replay
    shown = []
    monkeypatch.setattr(
        playback, "frame", lambda g, us, *_: shown.append((int(g["loop"]), float(g["score"]), us.copy()))
    )
    list(playback.frames(playback.read_replay(file)))
    assert [loop for loop, *_ in shown[:-1]] == list(range(0, loops, 8))
    last_loop, last_score, last_units = shown[-1]
    assert (last_loop, last_score) == (loops, score)
    places = {(round(float(u["x"]), 3), round(float(u["y"]), 3)) for u in last_units if u["kind"]}
    assert {(round(x, 3), round(y, 3)) for _, _, x, y, *_ in units} <= places


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MPQ\x1b some game of the real one", "not a replay of the stand-in game: StarCraft II's own replays"),
        (b"hello", "not a replay of the stand-in game"),
        (b"perceiver-rl stand-in replay, version 1\nno", "damaged"),
    ],
)
def test_a_file_that_is_no_replay_is_refused(tmp_path, capsys, content, message):
    pytest.importorskip("s2clientprotocol.sc2api_pb2")
    file = tmp_path / "x.SC2Replay"
    file.write_bytes(content)
    assert run(["watch", str(file), "--video", str(tmp_path / "it.gif")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message in told
    assert str(file) in told.replace(" ", "")
    assert run(["watch", str(file), "--policy", "random", "--video", str(tmp_path / "it.gif")]) == 2
    assert "--policy" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "watch"])
def test_train_and_watch_name_an_opponent_as_evaluate_does(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"train": ["--env", "sim/Simple64"], "watch": ["--env", "sim/Simple64", "--policy", "random"]}[command]
    assert run([command, *words]) == 2
    assert "opponent: Simple64 is played against one" in capsys.readouterr().err
    assert run([command, *words, "--opponent", "zerk:easy"]) == 2
    assert "--opponent zerk:easy: opponent: no race 'zerk'; did you mean 'zerg'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_melee_is_watched(tmp_path, monkeypatch, capsys):
    words = ["--opponent", "terran:easy", "--env-option", "max_loops=80", "--video", str(tmp_path / "it.gif")]
    assert run(["watch", "--env", "sim/Simple64", "--policy", "random", *words]) == 0
    assert capsys.readouterr().out.startswith("10 frames")


def test_training_against_an_opponent_keeps_who_it_is():
    config, _ = parse_train(["--env", "sim/Simple64", "--opponent", "terran:hard:rush"], "train")
    assert config.env_options == {"opponent": "terran:hard:rush"}


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


def test_what_a_policy_looks_at_is_what_its_attention_says():
    """Against the cross-attend's softmax by hand, over the tokens by hand."""
    env = registry.make("sim/DefeatRoaches", 2, style="orders")
    torch.manual_seed(0)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, PolicyConfig())
    player = PolicyPlayer(policy, device=torch.device("cpu"), greedy=True, seed=0, attention=True)
    observation, _ = env.reset(seed=0)
    player.act(observation, np.ones(2, bool))
    seen = player.looks
    assert list(seen.weights) == ["player", "units"]
    assert sum(part.sum() for part in seen.weights.values()) == pytest.approx(1, abs=1e-5)
    tokens = policy.inputs(policy.trim(optree.tree_map(torch.as_tensor, observation)))
    layer = policy.encoder.cross[0]
    with torch.no_grad():
        q = layer.attention.query(layer.query_norm(policy.encoder.latents(1)))[0]
        k = layer.attention.key_value(layer.input_norm(tokens.tokens))[0, :, : q.shape[-1]]
        scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(~tokens.mask[0], -torch.inf)
        expected = scores.softmax(-1).mean(0).numpy()
    np.testing.assert_allclose(np.concatenate(list(seen.weights.values())), expected, atol=1e-5)
    (entropy,) = seen.entropies.values()
    assert entropy > 0
    frame = watch.caption(np.zeros((480, 480, 3), np.uint8), "t", "w", "a", 0.0, 0.0, [1.0, 2.0])
    shown = watch.with_looks(frame, seen)
    np.testing.assert_array_equal(shown[: frame.shape[0]], frame)
    assert shown.shape[0] > frame.shape[0] + 40


def test_a_video_that_cannot_be_written_is_refused_before_a_frame_is_drawn(tmp_path, monkeypatch):
    def drawn():
        raise AssertionError("a frame was asked for")
        yield

    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=r"folder\.mp4: cannot be written"):
        watch.write_video(drawn(), tmp_path / "folder.mp4", 5)
    monkeypatch.setattr("agents.acting.video.os.access", lambda path, mode: False)  # for root all can be written
    with pytest.raises(UserError, match=r"one\.gif: cannot be written"):
        watch.write_video(drawn(), tmp_path / "one.gif", 5)
