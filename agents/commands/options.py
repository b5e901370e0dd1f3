"""What is typed becomes options: of an experiment, or of a command.

Nothing here imports torch: ``--help`` and refusals are quick.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import tyro
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tyro.constructors import StructConstructorSpec, StructFieldSpec, StructTypeInfo

from agents.errors import UserError
from agents.runs.experiment import parse_value
from envs.spelling import did_you_mean
from envs.starcraft.opponents import parse_opponent

T = TypeVar("T")


def parse_env_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``["step_mul=8"]`` -> ``{"step_mul": 8}``. Raises UserError for what is no ``key=value``."""
    result = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UserError(f"--env-option {pair}: expected KEY=VALUE, for example --env-option step_mul=8")
        try:
            result[key.strip().replace("-", "_")] = parse_value(text)
        except yaml.YAMLError as error:
            raise UserError(f"--env-option {pair}: {text!r} is not a valid YAML value") from error
    return result


def command_line_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """How tyro makes options of a pydantic model: with their ranges in the help, unchecked until
    :func:`agents.runs.experiment.check`.

    (Left to itself tyro would show pydantic's own text for a value out of range.)
    """
    if not (isinstance(info.type, type) and issubclass(info.type, BaseModel)):
        return None
    fields = [
        StructFieldSpec(name, cast(Any, field.annotation), getattr(info.default, name), _help(field))
        for name, field in info.type.model_fields.items()
        if name != "env_options"  # given as --env-option KEY=VALUE
    ]
    return StructConstructorSpec(info.type.model_construct, tuple(fields))


def _help(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{word} {getattr(m, a):g}" for m in field.metadata for a, word in words.items() if hasattr(m, a)]
    return (field.description or "") + (f" Range: {', '.join(limits)}." if limits else "")


def parse(kind: type[T], default: T, argv: Sequence[str], prog: str) -> T:
    """What ``argv`` asks of a command, ``kind``; leaves the program for --help and for what cannot be read."""
    rules = tyro.constructors.ConstructorRegistry()
    rules.struct_rule(command_line_rule)
    return tyro.cli(kind, default=default, args=argv, prog=prog, description=kind.__doc__, registry=rules)


def check_opponent(name: str) -> None:
    """Refuse what names no computer player."""
    try:
        parse_opponent(name)
    except ValueError as error:
        raise UserError(f"--opponent {name}: {error}") from error


def check_device(name: str) -> None:
    """Refuse what is no device's name; whether the device is there is known when torch is."""
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", name):
        near = did_you_mean(name, ("auto", "cpu", "cuda"))
        raise UserError(f"--device {name}: expected auto, cpu, cuda or one GPU such as cuda:0{near}")
