"""Experiments as YAML files: read, checked as one :class:`~agents.config.Config`, and written.

Nothing here imports torch: refusals are quick.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from agents import extensions
from agents.config import Config
from agents.errors import UserError
from agents.extensions import ALGORITHMS
from agents.runs import folder
from agents.runs.synonyms import meant
from envs.spelling import did_you_mean

_log = logging.getLogger(__name__)

# Where experiments are: in agents/configs/ of a wheel, in configs/ of a checkout.
PACKED, CHECKOUT = (Path(__file__).resolve().parents[up] / "configs" for up in (1, 2))
CONFIGS = PACKED if PACKED.is_dir() else CHECKOUT
DEFAULT = "move_to_beacon"
COMMAND_LINE = "command line"
# What may change when a run goes on; everything else would make it another run.
RESUMABLE = (
    "total_steps",
    "device",
    "threads",
    "checkpoint_interval",
    "keep_checkpoints",
    "extensions",
    "track",
    "callbacks",
    "eval_interval",
    "eval_episodes",
    "evaluation_episodes",
    "evaluation_sampled",
    "evaluation_max_steps",
)


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: 1e-4 is a number, a date is text, and a key that is there twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader`; raises ConstructorError for a key that is there twice."""
        seen: dict[Any, yaml.Mark] = {}
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                first = seen.setdefault((key_node.tag, key_node.value), key_node.start_mark)
                if first is not key_node.start_mark:
                    problem = f"{key_node.value!r} is there twice, first in line {first.line + 1}"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_EXPONENT = ("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"), "-+0123456789")
_Loader.add_implicit_resolver(*_EXPONENT)


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what the loader would take for a number."""


_Dumper.add_implicit_resolver(*_EXPONENT)


def find_config(name: str, asked: str = "--config") -> Path:
    """The YAML file that ``name`` means: a path, or a name in ``configs/``. Raises UserError if there is none.

    ``asked`` is what the user calls it.
    """
    path = Path(name)
    for candidate in (path, Path("configs") / f"{name}.yaml", CONFIGS / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    names = sorted(p.stem for p in CONFIGS.glob("*.yaml"))
    raise UserError(
        f"{asked} {name}: no such file, and no such name in configs/{did_you_mean(path.stem, names)} "
        f"(there are: {', '.join(names) or 'none'})"
    )


def parse_value(text: str) -> Any:
    """``text`` read as a YAML value: ``8`` is a number, ``true`` a truth value, ``[1, 2]`` a list.

    Raises ValueError, in words, for what is no YAML, and for what is but cannot be an option's value.
    """
    try:
        value = yaml.load(text, _Loader)
        json.dumps(value)  # what is no plain value, or holds itself
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"not valid YAML: {where}{getattr(error, 'problem', error)}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"holds a value that is no number, text, list or group ({error})") from error
    return value


def read_config(path: Path) -> Config:
    """Read and check an experiment. Raises UserError naming the file, the key and the nearest right spelling."""
    return check(_read(path), str(path))


def _read(path: Path) -> dict[Any, Any]:
    try:
        data = parse_value(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected options as 'key: value' lines, got {type(data).__name__}")
    return data


def read_run_config(run_dir: Path) -> Config:
    """The complete config of a run. Raises UserError for a folder that holds none, and for one that was changed.

    Checkpoints hold the options too: a config.yaml that is damaged, cut short or lost is read from there, with a note.
    """
    path = run_dir / "config.yaml"
    saved = folder.saved_options(run_dir)
    if saved is not None:
        return _compared(path, saved, check(saved, f"{run_dir}: the newest checkpoint's manifest"))
    if not path.is_file():
        near = did_you_mean(str(run_dir), [str(p.parent) for p in run_dir.parent.glob("*/config.yaml")])
        what = "has no config.yaml" if run_dir.is_dir() else "is no folder"
        raise UserError(f"{run_dir}: not a run folder: it {what}{near}")
    return read_config(path)


def _compared(path: Path, options: Mapping[str, Any], saved: Config) -> Config:
    """What ``path`` says, or ``saved`` where it is not whole. Raises UserError where they contradict each other."""
    fault = "is not there"
    if path.is_file():
        try:
            data = _read(path)
            config = check(data, str(path))
        except UserError as error:
            fault = f"is damaged ({error})"
        else:
            left_out = {"run_dir", *_unused(saved.algorithm)}
            expected = [key for key, _ in flatten(saved) if key.partition(".")[0] not in left_out]
            # what the checkpoint does not name either is younger than the run
            missing = [key for key in expected if _has(options, key) and not _has(data, key)]
            if not missing:
                _refuse_changes(path, saved, config, left_out)
                return config
            fault = f"is not whole (options are missing: {len(missing)}, {missing[0]} first)"
    _log.warning("%s %s; its options are taken from the newest checkpoint", path, fault)
    return saved


def _refuse_changes(path: Path, saved: Config, config: Config, left_out: Set[str]) -> None:
    differ = {k: v for k, v in changes(saved, config).items() if k not in RESUMABLE}
    for key, (trained, found) in differ.items():
        if key.partition(".")[0] not in left_out and plain(trained) != plain(found):
            raise UserError(
                f"{path}: {key} is {found!r}, but the run was trained with {trained!r}: put that back, or copy the "
                "file and train a new run with --config"
            )


def _has(data: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return False
        data = data[part]
    return True


def plain(value: Any) -> Any:
    """A config, or the value of an option, as JSON has it; a run's own folder is left out."""
    if isinstance(value, Config):
        value = value.model_dump(exclude={"run_dir"})
    return json.loads(json.dumps(value, default=str))


def check(data: Mapping[Any, Any], source: str) -> Config:
    """Make the Config that ``data`` describes, or raise UserError with one line per problem found in ``source``.

    Options are named as the source names them: ``--ppo.learning-rate`` on the command line, else ``ppo.learning_rate``.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        algorithm = str(data.get("algorithm", Config().algorithm))
        problems = {_place(problem["loc"]): problem for problem in reversed(error.errors(include_url=False))}
        lines = [_explain(problem, source, algorithm) for problem in reversed(problems.values())]
    raise UserError("\n".join(f"{source}: {line}" if source != COMMAND_LINE else line for line in lines))


def load_extensions(config: Config) -> None:
    """Import the code of a person's own that ``config`` names, and check what it does not register.

    Raises UserError. The code runs: whoever calls this trusts whoever has written ``config``.
    """
    extensions.load(config.extensions)
    try:
        config.check_names()
    except ValueError as error:
        raise UserError(str(error)) from error


def option(key: str) -> str:
    """The command-line spelling of a dotted key."""
    return "--" + key.replace("_", "-")


def _place(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Which option a problem is of: one that may be of several types has a problem with each."""
    return loc[:3] if loc[:2] == ("policy", "read") else loc


def _explain(problem: Mapping[str, Any], source: str, algorithm: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    name = option(key) if source == COMMAND_LINE else key
    if _place(problem["loc"]) != problem["loc"]:
        path, given = problem["loc"][2], problem["input"]
        ways = "numbers, rows, picture, ignore, {patch: side} or {categories: count}"
        return f"policy.read, {path!r}: expected {ways}, got {given!r}"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {name!r}{_nearest_key(key, algorithm)}"
    if problem["type"] == "model_type":
        return f"{key} should be a group of options, got {problem['input']!r}"
    message = re.sub(r"^(Value error, |Input )", "", problem["msg"])
    if problem["type"] == "value_error":
        return f"{key + ': ' if key else ''}{message}"
    given = problem["input"]
    hint = ""
    if problem["type"] == "literal_error" and isinstance(given, str):
        hint = did_you_mean(given, re.findall(r"'([^']+)'", problem["ctx"]["expected"]))
    return f"{name} {message}, got {given!r}{hint}"


def _nearest_key(key: str, algorithm: str) -> str:
    """The right key, whose last part may be all that was written: ``learning_rate`` is ``ppo.learning_rate``."""
    keys = usable(algorithm, key)
    return meant(key, [*keys, *{name.partition(".")[0] for name in keys if "." in name}], algorithm)


def usable(algorithm: str, key: str = "") -> list[str]:
    """The dotted keys of a config but those of other algorithms, unless ``key`` is in such a one's group."""
    left_out = _unused(algorithm) - {key.partition(".")[0]}
    return [name for name, _ in flatten(Config()) if name.partition(".")[0] not in left_out]


def _unused(algorithm: str) -> set[str]:
    """The groups of options that belong to other algorithms."""
    own = {"algorithm_options"} if algorithm in ALGORITHMS.built_in else set()
    return {*ALGORITHMS.built_in, *own} - {algorithm}


def flatten(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option of ``config`` by its dotted key, with its value."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def settings(config: Config) -> dict[str, str | bool | int | float]:
    """Every option that the run uses, by its dotted key, as trackers keep them: numbers, truth values and text."""
    used = {*usable(config.algorithm)} - {"run_dir"}
    return {
        key: value if isinstance(value, str | bool | int | float) else json.dumps(plain(value))
        for key, value in flatten(config)
        if key in used
    }


def as_text(config: Config) -> str:
    """The YAML that :func:`write_config` writes."""
    return "\n".join(_yaml_lines(config.model_copy(update={"run_dir": None}), "", _unused(config.algorithm))) + "\n"


def changes(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """The options whose values differ: key -> (old value, new value)."""
    after = dict(flatten(new))
    return {key: (value, after[key]) for key, value in flatten(old) if value != after[key]}


def write_config(config: Config, path: Path) -> None:
    """Write every option with what it means, re-runnable as it is.

    The run's own folder is left out, and so are other algorithms' options.
    """
    folder.write_whole(path, as_text(config))


def _yaml_lines(config: BaseModel, indent: str, left_out: Set[str] = frozenset()) -> Iterator[str]:
    plain = config.model_dump()
    for name, field in type(config).model_fields.items():
        if name in left_out:
            continue
        comment = "  # " + " ".join((field.description or "").split())
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield indent + name + ":" + comment
            yield from _yaml_lines(value, indent + "  ")
        else:
            shown = {name: str(value) if isinstance(value, Path) else plain[name]}
            text = yaml.dump(shown, Dumper=_Dumper, sort_keys=False, width=10_000)
            first, *rest = text.splitlines()
            yield indent + first + comment
            yield from (indent + line for line in rest)
