"""What is typed becomes options: of an experiment, or of a command.

Nothing here imports torch: ``--help`` and refusals are quick.
"""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import tyro
from pydantic import BaseModel
from tyro.constructors import (
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from agents.errors import UserError
from agents.runs import experiment
from agents.runs.experiment import parse_value
from agents.runs.synonyms import meant
from envs.spelling import did_you_mean
from envs.starcraft.opponents import expand_opponents

T = TypeVar("T")
UNTYPED = ("env_options", "env_wrappers", "read", "algorithm_options", "network_options")
"""Options that are nests: given as --env-option KEY=VALUE, --env-wrapper NAME and --read PATH=VALUE, the others in an
experiment's file."""


def parse_env_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``["step_mul=8"]`` -> ``{"step_mul": 8}``. Raises UserError for what is no ``key=value``."""
    result = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UserError(f"--env-option {pair}: expected KEY=VALUE, for example --env-option step_mul=8")
        try:
            result[key.strip().replace("-", "_")] = parse_value(text)
        except ValueError as error:
            raise UserError(f"--env-option {pair}: {text!r} is {error}") from error
    return result


def parse_wrappers(texts: Sequence[str]) -> list[Any]:
    """``["{FrameStackObservation: {stack_size: 4}}"]`` -> the same as a list of dicts; a name alone is one."""
    try:
        return [parse_value(text) for text in texts]
    except ValueError as error:
        raise UserError(f"--env-wrapper {' '.join(texts)}: {error}") from error


def parse_read(pairs: Sequence[str]) -> dict[str, Any]:
    """``["camera={patch: 8}"]`` -> ``{"camera": {"patch": 8}}``. Raises UserError for what is no ``path=value``."""
    result = {}
    for pair in pairs:
        path, equals, text = pair.rpartition("=")
        if not equals:
            raise UserError(f"--read {pair}: expected PATH=HOW, for example --read camera=rows")
        try:
            result[path] = parse_value(text)
        except ValueError as error:
            raise UserError(f"--read {pair}: {text!r} is {error}") from error
    return result


def command_line_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """How tyro makes options of a pydantic model: with their ranges in the help, unchecked until
    :func:`agents.runs.experiment.check`.

    (Left to itself tyro would show pydantic's own text for a value out of range.)
    """
    if not (isinstance(info.type, type) and issubclass(info.type, BaseModel)):
        return None
    fields = [
        StructFieldSpec(name, cast(Any, field.annotation), getattr(info.default, name), _help(info.default, name))
        for name, field in info.type.model_fields.items()
        if name not in UNTYPED
    ]
    return StructConstructorSpec(info.type.model_construct, tuple(fields))


def whole_number_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
    """How tyro reads whole numbers: 1e6 too, as in a YAML file."""
    if info.type is not int:
        return None
    return PrimitiveConstructorSpec(
        nargs=1, metavar="INT", instance_from_str=lambda words: _whole(words[0]),
        is_instance=lambda value: isinstance(value, int), str_from_instance=lambda value: [str(value)],
    )  # fmt: skip


def yes_or_no_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[bool | None] | None:
    """How tyro reads what may be true, false or none: as a YAML file has them, too."""
    if info.type != bool | None:
        return None
    return PrimitiveConstructorSpec(
        nargs=1, metavar="{none,true,false}", instance_from_str=lambda words: _yes_or_no(words[0]),
        is_instance=lambda value: value is None or isinstance(value, bool),
        str_from_instance=lambda value: [str(value).lower()],
    )  # fmt: skip


def _yes_or_no(text: str) -> bool | None:
    meanings = {"true": True, "false": False, "none": None}
    if text.lower() not in meanings:
        raise ValueError(f"expected true, false or none, got {text!r}")
    return meanings[text.lower()]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        with suppress(ValueError):
            if (value := float(text)).is_integer():
                return int(value)
        raise ValueError(f"expected a whole number, got {text!r}") from None


def _help(values: BaseModel, name: str) -> str:
    """What the option means, its range, and its default without an experiment where that is another."""
    field = type(values).model_fields[name]
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{word} {getattr(m, a):g}" for m in field.metadata for a, word in words.items() if hasattr(m, a)]
    text = (field.description or "") + (f" Range: {', '.join(limits)}." if limits else "")
    plain = field.get_default(call_default_factory=True)
    if isinstance(plain, BaseModel) or plain == getattr(values, name):
        return text
    return f"{text} Without this experiment: {plain}."


def parse(kind: type[T], default: T, argv: Sequence[str], prog: str, description: str | None = None) -> T:
    """What ``argv`` asks of a command, ``kind``; leaves the program for --help and for what cannot be read.

    Raises UserError for an option that there is none of, with the one that is meant.
    """
    refuse_unknown(default, argv, prog)
    argv = flags(argv, switches(default))
    rules = tyro.constructors.ConstructorRegistry()
    rules.struct_rule(command_line_rule)
    rules.primitive_rule(whole_number_rule)
    rules.primitive_rule(yes_or_no_rule)
    described = inspect.cleandoc(description or kind.__doc__ or "")
    return tyro.cli(kind, default=default, args=argv, prog=prog, description=described, registry=rules)


def refuse_unknown(default: Any, argv: Sequence[str], prog: str) -> None:
    """Raise UserError for an option that is none of a command's, whose fields ``default`` holds."""
    known = options_of(default)
    algorithm = known.get("algorithm", "")
    for word in argv:
        name = word.removeprefix("--").partition("=")[0]
        key = name.replace("-", "_")
        group, dot, last = key.rpartition(".")
        switch = group + dot + last.removeprefix("no_")
        if word.startswith("--") and key not in known and switch not in known and key != "help" and name:
            usable = experiment.usable(algorithm, key) if algorithm else []
            names = [option for option in known if option in usable or "." not in option]
            hint = meant(key, names, algorithm, experiment.option)
            raise UserError(f"no such option: --{name}{hint}; {prog} --help explains all of them")


def options_of(default: Any) -> dict[str, Any]:
    """A command's options as they are typed, with _ for -, and their defaults, which ``default`` holds."""
    known: dict[str, Any] = {}
    for field in fields(default):
        value = getattr(default, field.name)
        if isinstance(value, BaseModel):
            known |= {key: option for key, option in experiment.flatten(value) if key.split(".")[-1] not in UNTYPED}
        else:
            known[field.name] = value
    return known


def switches(default: Any, group: str = "") -> set[str]:
    """Which of a command's options are flags: those that are true or false, and nothing else."""
    model = isinstance(default, BaseModel)
    found: set[str] = set()
    for name in type(default).model_fields if model else [field.name for field in fields(default)]:
        value = getattr(default, name)
        if isinstance(value, BaseModel):
            found |= switches(value, f"{group}{name}." if model else "")
        elif type(default).model_fields[name].annotation is bool if model else isinstance(value, bool):
            found.add(group + name)
    return found


def flags(argv: Sequence[str], known: set[str]) -> list[str]:
    """``--policy.scatter true`` -> ``--policy.scatter``, ``--policy.scatter=false`` -> ``--policy.no-scatter``: what is
    true or false is a flag, but may be typed as in a file."""
    result: list[str] = []
    for word in (part for given in argv for part in _apart(given, known)):
        value = word.lower()
        last = result[-1] if result else ""
        if value not in ("true", "false") or not _flag(last, known):
            result.append(word)
        elif value == "false":
            group, dot, name = last.removeprefix("--").rpartition(".")
            result[-1] = f"--{group}{dot}no-{name}"
    return result


def _apart(word: str, known: set[str]) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, value] if equals and _flag(name, known) else [word]


def _flag(word: str, known: set[str]) -> bool:
    return word.startswith("--") and word[2:].replace("-", "_") in known


def check_number(name: str, value: float | None, least: float, most: float) -> None:
    """Refuse a number that is given, but not finite and from ``least`` to ``most``."""
    if value is not None and not least <= value <= most:
        limits = f"at least {least:g}" if most == math.inf or value < least else f"at most {most:g}"
        raise UserError(f"{name} should be {limits}, got {value}")


def check_file(option: str, path: Path, instead: str) -> None:
    """Refuse a file that cannot be written, before anything is played."""
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{option} {path}: is a folder{instead}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{option} {path}: cannot be written")


def opponents_in(text: str) -> list[str]:
    """The computer players that ``text`` names. Raises UserError for what names none."""
    try:
        return expand_opponents(text)
    except ValueError as error:
        raise UserError(f"--opponent {text}: {error}") from error


def check_opponent(name: str) -> None:
    """Refuse what names no single computer player."""
    if len(opponents_in(name)) != 1:
        raise UserError(f"--opponent {name}: expected one, race:difficulty:build")


def check_device(name: str) -> None:
    """Refuse what is no device's name; whether the device is there is known when torch is."""
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", name):
        near = did_you_mean(name, ("auto", "cpu", "cuda"))
        raise UserError(f"--device {name}: expected auto, cpu, cuda or one GPU such as cuda:0{near}")
