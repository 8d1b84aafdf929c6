"""How classes are written for readers."""

from typing import Final

from app.domain.label_hierarchy import DISPLAY_NAMES
from training.multiclass.films import POSITIVE

_OWN: Final = {"normal": "Normal"}


def title_of(name: str) -> str:
    """Write a class's name; unknown names as they are."""
    return _OWN.get(name, DISPLAY_NAMES.get(name, name))


def positive_of(classes: tuple[str, ...], asked: str | None = None) -> str:
    """Name the class that is binarised: the one asked for, COVID-19 where there is one, or the first.

    Raises
    ------
    ValueError
        If the one asked for is none of the classes.
    """
    if asked is not None and asked not in classes:
        raise ValueError(f"class {asked!r}; one of {', '.join(classes)} expected")
    return asked or (POSITIVE if POSITIVE in classes else classes[0])
