"""Settings of a recipe changed from the command line: ``--set optimiser.learning_rate=0.001``."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_M = TypeVar("_M", bound=BaseModel)


class RecipeError(ValueError):
    """A setting that a recipe does not have, or a value that it does not take."""


def add_set_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--set`` to a verb."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="change a setting of the recipe, e.g. optimiser.learning_rate=0.001; the value is YAML; repeatable",
    )


def read_changes(texts: Sequence[str]) -> dict[str, Any]:  # Any: YAML values
    """Read ``KEY=VALUE`` texts; dots go down into parts.

    Raises
    ------
    RecipeError
        If a text has no ``=`` or its value is no YAML.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise RecipeError(f"--set {text!r}; KEY=VALUE expected, e.g. batch_size=16")
        try:
            changes[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {text!r}: the value is no YAML") from error
    return changes


def with_changes(recipe: _M, changes: Mapping[str, Any]) -> _M:  # Any: YAML values
    """Give a recipe with some settings changed, checked anew.

    Parameters
    ----------
    recipe
        Stays as it is.
    changes
        Dotted setting to value.

    Raises
    ------
    RecipeError
        If there is no such setting or it does not take the value, with what was expected.
    """
    content = recipe.model_dump()
    for key, value in changes.items():
        *parts, last = key.split(".")
        inner: Any = content
        for part in parts:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or (not parts and last not in content):
            raise RecipeError(f"the recipe has no setting {key!r}; it has {', '.join(content)}")
        inner[last] = value
    try:
        return type(recipe).model_validate(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RecipeError(f"the recipe as changed is not valid: {found}") from error
