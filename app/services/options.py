"""What a caller may ask of a screening, checked once."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from app.domain.directed_divergence import checked_alpha
from app.domain.errors import InvalidRequestError
from app.domain.overlay import COLORMAPS, DEFAULT_OPACITY, Colormap

Part: TypeAlias = Literal[
    "maps", "overlays", "film", "ensemble", "ensemble_maps", "regions", "multiclass", "predicted_regions"
]
Evidence: TypeAlias = Literal["row", "contrast", "predicted"]
Style: TypeAlias = Literal["blend", "heatmap"]

PARTS: Final[tuple[Part, ...]] = (
    "maps", "overlays", "film", "ensemble", "ensemble_maps", "regions", "multiclass", "predicted_regions",
)  # fmt: skip
DEFAULT_PARTS: Final[frozenset[Part]] = frozenset({"maps", "overlays", "ensemble", "regions", "multiclass"})
"""All but the bare film, which only a page that lays the maps over it itself needs, a map of every label, and predicted
regions, which are no explanation of any answer."""
DEFAULT_OVERLAY_PX: Final = 512
MAX_OVERLAY_PX: Final = 4096
MAX_ALPHAS: Final = 16


@dataclass(frozen=True, slots=True)
class ScreeningOptions:
    """A request's parameters.

    Attributes
    ----------
    interest, overlap
        Experts; None takes the shipped pair's.
    evidence
        ``row``: the class's own weights (papers/1, eq. 1); ``contrast``: minus the out-of-class row;
        ``predicted``: the weights of whichever class has the larger logit (the paper's other reading).
    alphas
        Amplifications; empty takes the pair's default.
    include
        Parts of the answer beside the probabilities.
    overlay_px
        Longer side of the overlays; None is the film's own size.
    style
        ``blend`` on the film, ``heatmap`` transparent.
    force
        Answer even where the film would be refused; the answer is flagged.
    pretest_probability
        Of the class of interest, strictly between 0 and 1.
    """

    interest: str | None = None
    overlap: str | None = None
    evidence: Evidence = "row"
    alphas: tuple[float, ...] = ()
    include: frozenset[Part] = DEFAULT_PARTS
    overlay_px: int | None = DEFAULT_OVERLAY_PX
    style: Style = "blend"
    colormap: Colormap = "inferno"
    opacity: float = DEFAULT_OPACITY
    force: bool = False
    pretest_probability: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be answered.

        Raises
        ------
        InvalidRequestError
            Naming the parameter and its range.
        DivergenceError
            ``INVALID_ALPHA``.
        """
        for alpha in self.alphas:
            checked_alpha(alpha)
        if len(self.alphas) > MAX_ALPHAS:
            raise InvalidRequestError(f"{len(self.alphas)} values of alpha; {MAX_ALPHAS} at most")
        if self.overlay_px is not None and not 16 <= self.overlay_px <= MAX_OVERLAY_PX:
            raise InvalidRequestError(
                f"overlay_size is {self.overlay_px}; 16 to {MAX_OVERLAY_PX}, or original, expected"
            )
        if not 0.0 <= self.opacity <= 1.0:
            raise InvalidRequestError(f"opacity is {self.opacity}; 0 to 1 expected")
        if self.colormap not in COLORMAPS:
            raise InvalidRequestError(f"colormap is {self.colormap!r}; one of {', '.join(COLORMAPS)} expected")
        if self.pretest_probability is not None and not 0.0 < self.pretest_probability < 1.0:
            raise InvalidRequestError(
                f"pretest_probability is {self.pretest_probability}; strictly between 0 and 1 expected"
            )


def parse_include(text: str | None) -> frozenset[Part]:
    """Read a comma list of parts; None is the default ones, an empty text none.

    Raises
    ------
    InvalidRequestError
        Naming the unknown part.
    """
    if text is None:
        return DEFAULT_PARTS
    chosen: set[Part] = set()
    for name in (piece.strip() for piece in text.split(",") if piece.strip()):
        known = next((part for part in PARTS if part == name), None)
        if known is None:
            raise InvalidRequestError(f"include names {name!r}; any of {', '.join(PARTS)} expected")
        chosen.add(known)
    return frozenset(chosen)


def parse_overlay_size(text: str | None) -> int | None:
    """Read ``overlay_size``: pixels of the longer side, or ``original`` (None).

    Raises
    ------
    InvalidRequestError
        If it is neither.
    """
    if text is None:
        return DEFAULT_OVERLAY_PX
    if text == "original":
        return None
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequestError(f"overlay_size is {text!r}; pixels or original expected")
    return int(text[:9])
