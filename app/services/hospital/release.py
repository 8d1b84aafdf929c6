"""The version of everything that answers, in one short word that results are named by."""

import hashlib
from collections.abc import Iterable
from typing import Final

from app.services.options import ScreeningOptions

OBJECTS_VERSION: Final = 1
"""Of how results are built; one more where the same answer would look or read differently."""


def release_version(models: Iterable[tuple[str, str, str]], options: ScreeningOptions) -> str:
    """Name a set of networks and the way they are asked.

    Parameters
    ----------
    models
        Name, version and SHA-256 of the weights of every network that is loaded.
    options
        What films are screened with.

    Returns
    -------
    str
        E.g. ``"models-3f2a91c0d4e7-1"``; the same for the same networks in any order, another for any other.
    """
    digest = hashlib.sha256()
    for name, version, sha256 in sorted(models):
        digest.update(f"{name}\0{version}\0{sha256}\n".encode())
    digest.update(f"{options.interest}\0{options.overlap}\0{options.evidence}\0{options.alphas}".encode())
    return f"models-{digest.hexdigest()[:12]}-{OBJECTS_VERSION}"
