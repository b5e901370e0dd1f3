"""What an experiment is: every option, its default and its range. Importing this does not import torch."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agents.extensions import ALGORITHMS, CALLBACKS, LOGGERS, LOSSES
from envs.starcraft.opponents import parse_opponent
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.registry import MEMORIES, NETWORKS

LARGEST_SEED = 2**32 - 1
"""What every library's random numbers can be seeded with."""
MOST_ENVS = 65_536
"""Environments of a run: more are a typing error."""
WATCHED_AGAINST = "terran:medium"
"""Who plays a melee policy that was trained against no computer, where one is needed."""
FOR_LEARNING = ("shaping", "head_start")
"""Options of the stand-in game that only learning wants: rewards on the way, and beginnings that are none."""
OURSELVES = ("self", "pool")
"""Opponents that are no computers: the policy, and those that it was."""


class Learning(BaseModel):
    """What all algorithms share."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    unroll: int = Field(32, ge=1)
    """Steps of every environment in a trajectory."""
    epochs: int = Field(1, ge=1)
    """Passes over the data of an update."""
    minibatch: int = Field(512, ge=1)
    """Steps in a minibatch, those of all learners together (whole unrolls where the order of steps matters)."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """Adam, or RMSProp as in the IMPALA paper (decay 0.99, no momentum)."""
    learning_rate: float = Field(7e-4, gt=0)
    """The optimizer's step size, at the start."""
    schedule: Literal["constant", "linear"] = "linear"
    """Course of the learning rate: constant, or linear to zero at total_steps."""
    epsilon: float = Field(1e-5, gt=0)
    """The optimizer's epsilon."""
    max_gradient_norm: float = Field(0.5, gt=0)
    """Gradients are scaled down to this global norm."""
    gamma: float = Field(0.99, ge=0, le=1)
    """Discount per step."""
    value_coefficient: float = Field(0.5, ge=0)
    """Weight of the value loss."""
    entropy_coefficient: float = Field(0.003, ge=0)
    """Weight of the entropy bonus."""
    entropy_coefficients: dict[str, float] = Field(default_factory=dict)
    """Weights of single heads' entropies where they differ, by the head's path in the action space, such as screen; of
    an action space without parts it is action."""
    normalize_returns: bool = True
    """Whether values are learned in units of their targets' running mean and deviation (PopArt)."""
    reference: Path | None = None
    """Run folder of a policy that this one is kept near; none: nothing is."""
    reference_coefficient: float = Field(0.01, ge=0)
    """Weight of the divergence KL(reference || policy)."""
    reference_schedule: Literal["constant", "linear"] = "constant"
    """Course of that weight: constant, or linear to zero at total_steps."""
    losses: dict[str, float] = Field(default_factory=dict)
    """Weights of further terms of the loss, of your own, by the names that they are registered under."""
    value_warmup: int = Field(0, ge=0)
    """Updates at the start that train the value's own parameters alone, for a policy that comes from elsewhere."""


class PPOConfig(Learning):
    """Proximal Policy Optimization (Schulman et al. 2017, arXiv 1707.06347)."""

    epochs: int = Field(3, ge=1)
    """Passes over the data of an update."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Lambda of the generalized advantage estimate (arXiv 1506.02438)."""
    clip: float = Field(0.2, gt=0)
    """How far the probability ratio may leave 1."""
    value_clip: float | None = Field(None, gt=0)
    """How far, in units of normalized returns, a value may leave its old one; none: anywhere."""
    target_kl: float | None = Field(None, gt=0)
    """An update's passes end early once the approximate KL exceeds 1.5 times this; none: never."""
    normalize_advantages: bool = True
    """Whether advantages are standardized over each update's data."""
    advantage_floor: float = Field(0.0, ge=0)
    """Least deviation, in units of normalized returns, that they are divided by; 0: their own. Where rewards are rare,
    an update that holds none is noise, and would be made as loud as any other."""


class APPOConfig(PPOConfig):
    """Asynchronous PPO: PPO's update with V-trace for advantages, so that the data may come from older policies."""

    rho_clip: float = Field(1.0, gt=0)
    """Most that V-trace weighs one step's error with (rho-bar)."""
    c_clip: float = Field(1.0, gt=0)
    """Most that V-trace lets one step pass on (c-bar)."""


class ImpalaConfig(Learning):
    """IMPALA: actor-critic on V-trace (Espeholt et al. 2018, arXiv 1802.01561)."""

    unroll: int = Field(20, ge=1)
    """Steps of every environment in a trajectory."""
    rho_clip: float = Field(1.0, gt=0)
    """Most that one step's error is weighed with (rho-bar)."""
    c_clip: float = Field(1.0, gt=0)
    """Most that one step passes on (c-bar)."""
    vtrace_lambda: float = Field(1.0, ge=0, le=1)
    """Lambda of V-trace."""
    critic: Literal["vtrace", "td_lambda"] = "vtrace"
    """What values are learned from: V-trace's targets, or uncorrected TD(lambda) returns, as in AlphaStar."""
    td_lambda: float = Field(0.8, ge=0, le=1)
    """Lambda of the TD(lambda) critic."""
    upgo_coefficient: float = Field(0.0, ge=0)
    """Weight of the upgoing policy gradient (AlphaStar) beside V-trace's."""


class ClusterConfig(BaseModel):
    """How a run with workers is spread over processes and machines, and how far they may run ahead of each other."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    learners: int = Field(1, ge=1)
    """Learners, each with a part of every update's data; on a GPU each where there are GPUs."""
    inference: int = Field(0, ge=0)
    """Processes that run the policy for the workers, on GPUs where there are some; 0: each worker runs its own copy."""
    inference_batch: int = Field(256, ge=1)
    """Observations that such a process waits for at most."""
    inference_wait: float = Field(2.0, ge=0)
    """Milliseconds that it waits for them at most."""
    queue: float = Field(2.0, ge=1)
    """Updates' worth of data that may be on the way to the learner; workers wait when there is more."""
    max_lag: int = Field(100, ge=0)
    """Updates by which data may be older than the learner; what is older is discarded, and counted."""
    call_timeout: float = Field(600.0, gt=0)
    """Seconds after which a worker that has not answered is taken for hung and started anew."""
    worker_cpus: float = Field(1.0, ge=0)
    """Cores that a worker takes."""
    worker_resources: dict[str, float] = Field(default_factory=dict)
    """What else a worker takes, such as sc2: 1 where machines were started with ray start --resources '{"sc2": 8}'."""


class SelfPlayConfig(BaseModel):
    """How opponents are drawn, where there are any."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    self_share: float = Field(0.5, gt=0, lt=1)
    """Part of the games in which the policy plays both sides, where others are opponents too."""
    snapshot_interval: int = Field(50_000, ge=1)
    """Steps after which the policy as it is then joins the pool."""
    pool_size: int = Field(8, ge=2)
    """Past policies in the pool at most; of more, those closest in time to others leave it."""
    priority: Literal["hard", "variance", "even"] = "hard"
    """Who of pool and computers is drawn more often: hard, whoever wins; variance, whoever is as strong, which with
    computers of rising difficulty makes a curriculum; even, nobody."""


class Config(BaseModel):
    """One experiment."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    env: str = "sim/MoveToBeacon"
    """Environment: sim/GAME, sc2/MAP, the id of a registered Gymnasium environment, or package.module:Class.
    Several mini-games for one policy, with weights: sim/MoveToBeacon*2 + sim/DefeatRoaches."""
    env_options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the environment."""
    env_wrappers: list[str | dict[str, Any]] = Field(default_factory=list)
    """Wrappers of a Gymnasium environment, the last one outermost: names of gymnasium.wrappers or module:Class, with
    arguments {name: {argument: value}}."""
    env_time_limit: int | None = Field(None, ge=1)
    """Steps after which an episode of a Gymnasium environment is truncated; none: its own limit."""
    env_metrics: list[str] = Field(default_factory=list)
    """Numbers that a Gymnasium environment tells in info where an episode ends, such as is_success: they are in the
    curves and in the evaluation."""
    env_processes: int = Field(0, ge=0, le=1024)
    """Processes that step the games of a Gymnasium environment, for slow ones; 0: they are stepped in this one."""
    opponents: tuple[str, ...] = ()
    """Whom the policy learns to play a game for two against: self, pool (its past), and computers such as terran:hard;
    several with commas between them."""
    self_play: SelfPlayConfig = SelfPlayConfig()
    """How they are drawn."""
    num_envs: int = Field(64, ge=1, le=MOST_ENVS)
    """Environments stepped side by side, those of all workers together; with opponents, places of players: two a
    game."""
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    """Seed of everything random in the run."""
    total_steps: int = Field(300_000, ge=1, le=10**15)
    """Steps of all environments together."""
    init: Path | None = None
    """Run folder whose newest policy this one starts as; none: random parameters."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""
    threads: int = Field(1, ge=0, le=1024)
    """Torch threads; 0: as many as there are cores, which pays for large networks on an idle machine only."""
    run_dir: Path | None = None
    """Folder of the run; none: a new one under runs/."""
    checkpoint_interval: int = Field(50_000, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(3, ge=1)
    """Checkpoints kept; older ones are deleted."""
    track: tuple[str, ...] = ("tensorboard",)
    """Who records the run's figures beside metrics.jsonl: tensorboard, wandb, mlflow, or loggers of your own."""
    callbacks: tuple[str, ...] = ()
    """Callbacks of your own that the run calls, by the names that they are registered under."""
    eval_interval: int = Field(0, ge=0)
    """Steps between two evaluations during training, the best one's policy being kept in the run's folder best; 0:
    none."""
    eval_episodes: int = Field(20, ge=1)
    """Episodes of each of them."""
    evaluation_episodes: int = Field(100, ge=0)
    """Episodes of the evaluation at the end; 0: none."""
    evaluation_sampled: bool = False
    """Whether evaluations draw their actions, as training does, instead of taking the likeliest ones."""
    evaluation_max_steps: int = Field(27_000, ge=1)
    """Steps after which an episode of an evaluation is cut short: a policy may never end one."""
    evaluation_video: bool = False
    """Whether a video of an episode is made at the end, and recorded beside the figures: evaluation.mp4."""
    extensions: tuple[str, ...] = ()
    """Code of your own that is imported first and registers what the other options name: modules, or files in .py."""
    policy: PolicyConfig = PolicyConfig()
    """The network."""
    algorithm: str = "ppo"
    """What the policy learns by: ppo, appo or impala, whose options are in the group of its name (the other groups are
    not used), or an algorithm of your own."""
    algorithm_options: dict[str, Any] = Field(default_factory=dict)
    """Options of an algorithm of your own."""
    ppo: PPOConfig = PPOConfig()
    """Proximal Policy Optimization."""
    appo: APPOConfig = APPOConfig()
    """Asynchronous PPO."""
    impala: ImpalaConfig = ImpalaConfig()
    """IMPALA."""

    workers: int = Field(0, ge=0)
    """Processes that step environments, placed by Ray; 0: everything in this process, without Ray."""
    ray_address: str | None = None
    """Ray cluster that the workers run on: auto, or host:port; none: Ray is started here for this run."""
    cluster: ClusterConfig = ClusterConfig()
    """Placement of a run with workers."""

    @field_validator("opponents", mode="before")
    @classmethod
    def _split_opponents(cls, given: Any) -> Any:
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list | tuple) or not all(isinstance(text, str) for text in listed):
            return given
        names = [name.strip() for text in listed for name in text.split(",") if name.strip()]
        found = [name if name in OURSELVES else str(parse_opponent(name)) for name in names]
        twice = next((name for name in found if found.count(name) > 1), None)
        if twice:
            raise ValueError(f"{twice} is named twice")
        return tuple(found)

    @model_validator(mode="after")
    def _seat_opponents(self) -> Self:
        if not self.opponents:
            return self
        if self.workers:
            raise ValueError("opponents: games against them are played in one process so far; leave workers away")
        if self.env.startswith("sc2/"):
            raise ValueError(
                f"opponents: the games of {self.env} are played against its own computers; train on "
                f"sim/{self.env.removeprefix('sc2/')}, and evaluate there and here"
            )
        if "opponent" in self.env_options:
            raise ValueError("opponents: leave the environment's option opponent away; name it among the opponents")
        if self.num_envs % 2:
            raise ValueError(
                f"opponents: num_envs counts both sides of each game, so it must be even; use {self.num_envs + 1}"
            )
        if self.eval_interval:
            raise ValueError(
                "opponents: eval_interval must be 0; the run rates the policy on the way, in opponents.json"
            )
        return self

    @model_validator(mode="after")
    def _divide_environments(self) -> Self:
        if self.workers and self.num_envs % self.workers:
            nearest = max(1, round(self.num_envs / self.workers)) * self.workers
            raise ValueError(
                f"num_envs is {self.num_envs}, which {self.workers} workers cannot share equally; use {nearest}"
            )
        return self

    @model_validator(mode="after")
    def _know_names(self) -> Self:
        if not self.extensions:  # what they register is known when they are loaded
            self.check_names()
        return self

    def check_names(self) -> None:
        """Raises ValueError for a name under which nothing is registered."""
        memory = () if self.policy.memory == "none" else (self.policy.memory,)
        for registry, names in (
            (NETWORKS, (self.policy.network,)),
            (MEMORIES, memory),
            (ALGORITHMS, (self.algorithm,)),
            (LOGGERS, self.track),
            (CALLBACKS, self.callbacks),
        ):
            for name in names:
                registry.check(name)
        for name in self.learning.losses:
            LOSSES.check(name)

    @property
    def env_arguments(self) -> dict[str, Any]:
        """What `envs.registry.make` is told of the environment, but for its name and number, where it is played."""
        ours = ("env_wrappers", "env_time_limit", "env_metrics", "env_processes")
        alone = {"opponent": next(iter(self.computers), WATCHED_AGAINST)} if self.opponents and self._standin else {}
        played = {name: value for name, value in self.env_options.items() if name not in self._for_learning}
        return {**played, **alone, **{name: value for name in ours if (value := getattr(self, name))}}

    @property
    def training_arguments(self) -> dict[str, Any]:
        """The same where it is learned from: with rewards on the way, and of a melee against opponents both sides."""
        shaped = {name: value for name, value in self.env_options.items() if name in self._for_learning}
        both = bool(self.opponents) and self._standin
        played = {name: value for name, value in self.env_arguments.items() if not (both and name == "opponent")}
        return played | shaped | ({"players": 2} if both else {})

    @property
    def _for_learning(self) -> tuple[str, ...]:
        return FOR_LEARNING if self._standin else ()

    @property
    def _standin(self) -> bool:
        return self.env.startswith("sim/")

    @property
    def computers(self) -> tuple[str, ...]:
        """The opponents that are the game's own."""
        return tuple(name for name in self.opponents if name not in OURSELVES)

    @property
    def learning(self) -> Learning:
        """The options of the chosen algorithm. Raises ValueError for those of one's own that are none."""
        if self.algorithm in ALGORITHMS.built_in:
            options: Learning = getattr(self, self.algorithm)
            return options
        try:
            own: Learning = ALGORITHMS.find(self.algorithm).Options.model_validate(self.algorithm_options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise ValueError(f"algorithm_options.{key}: {first['msg']}, got {first['input']!r}") from error
        return own
