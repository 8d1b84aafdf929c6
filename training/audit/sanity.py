"""Do the maps depend on what the networks learned? Weights are randomised from the top down, and the maps must change.

References
----------
Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018. https://arxiv.org/abs/1810.03292
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import nn

from app.domain.activation_map import positive_share
from app.domain.arrays import FloatMap
from app.domain.directed_divergence import DEFAULT_ALPHA, directed_divergence
from app.domain.errors import ImageRefusedError
from app.domain.preprocessing import InputSpecification
from training.audit.baselines import baselines
from training.audit.estimates import Estimated, PatientDraws
from training.audit.expert_pair import FindsLungs, PreparedFilm, prepare
from training.audit.similarity import rank_correlation, same_top, structural_similarity
from training.datasets import Film, read_grey
from training.networks import ExplainedNetwork, anatomy_of

SEEDS: Final = (0, 1, 2)
MOST_FILMS: Final = 30
STEM: Final = "stem"
Which = Literal["interest", "overlap", "both"]
_WHICH: Final[tuple[Which, ...]] = ("interest", "overlap", "both")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Likeness(_Part):
    """How alike maps are to the maps of the trained networks: mean over films and seeds.

    ``rank_correlation`` is Spearman's over the cells, ``structure`` the structural similarity, ``same_top`` the
    share of films whose highest cell stays.
    """

    rank_correlation: Estimated
    structure: Estimated
    same_top: Estimated


class RandomisedResult(_Part):
    """One kind of map after randomising one or both experts down to and including one stage."""

    method: str
    randomised: Which
    down_to: str
    likeness: Likeness


class BaselineResult(_Part):
    """How alike a trained map is to something that no expert made."""

    method: str
    baseline: str
    likeness: Likeness


class SanityReport(_Part):
    """Everything measured for one pair of experts, as ``report.json`` keeps it.

    ``stages`` stand in the order of randomising. The order of the cells of ADDK does not depend on alpha.
    """

    interest: str
    overlap: str
    films: int
    patients: int
    seeds: tuple[int, ...]
    stages: tuple[str, ...]
    alpha: float
    randomised: tuple[RandomisedResult, ...]
    baselines: tuple[BaselineResult, ...]

    def at(self, method: str, randomised: Which, down_to: str) -> Likeness:
        """Give one result; KeyError if there is none."""
        for result in self.randomised:
            if (result.method, result.randomised, result.down_to) == (method, randomised, down_to):
                return result.likeness
        raise KeyError((method, randomised, down_to))


def stages_of(network: nn.Module) -> list[tuple[str, list[nn.Module]]]:
    """List a network's parts that have weights, from the linear layer down; what no stage holds is the stem."""
    anatomy = anatomy_of(network)
    stages = [(anatomy.head, [network.get_submodule(anatomy.head)])]
    stages += [(name, [network.get_submodule(part) for part in parts]) for name, parts in anatomy.stages]
    staged = {id(module) for _, modules in stages for top in modules for module in top.modules()}
    auxiliary = f"{anatomy.auxiliary}." if anatomy.auxiliary else None
    stem = [
        module
        for name, module in network.named_modules()
        if id(module) not in staged
        and not (auxiliary and f"{name}.".startswith(auxiliary))
        and any(True for _ in module.parameters(recurse=False))
    ]
    return [*stages, (STEM, stem)]


def randomise(modules: Sequence[nn.Module], seed: int) -> None:
    """Give every layer below some modules the random weights it would start a training with, in place."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in modules:
            for layer in module.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm2d):
                    layer.reset_parameters()


def cascades(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Randomise a copy of a network stage by stage from the top; the network itself is left as it is.

    Yields
    ------
    str
        The stage just randomised; all above it are random already.
    Module
        The copy, the same one every time.
    """
    changed = copy.deepcopy(network).eval()
    for number, (name, modules) in enumerate(stages_of(changed)):
        randomise(modules, seed * 100 + number)
        yield name, changed


@dataclass(frozen=True, slots=True)
class _Methods:
    """Names of the four maps, and the maps themselves of one film."""

    interest: str
    overlap: str
    alpha: float

    @property
    def names(self) -> tuple[str, str, str, str]:
        return (
            f"CAM {self.interest}",
            f"CAM {self.overlap}",
            f"ADDK {self.interest} over {self.overlap}",
            f"ADDK {self.overlap} over {self.interest}",
        )

    def maps(self, x: FloatMap, y: FloatMap) -> tuple[FloatMap, ...]:
        """Displayed maps, 0..1, in the order of the names."""
        over, under = directed_divergence(x, y, self.alpha), directed_divergence(y, x, self.alpha)
        return positive_share(x), positive_share(y), over.display, under.display

    def ordered(self, x: FloatMap, y: FloatMap) -> tuple[FloatMap, ...]:
        """Maps by which cells are ranked: as displayed, but ADDK as ln K, which no rounding makes tie."""
        over = directed_divergence(x, y, self.alpha).log_k
        return positive_share(x), positive_share(y), over, -over


def measure_sanity(
    interest: nn.Module,
    overlap: nn.Module,
    specification: InputSpecification,
    films: Sequence[Film],
    lungs: FindsLungs | None = None,
    *,
    names: tuple[str, str] = ("covid19", "pneumonia"),
    seeds: tuple[int, ...] = SEEDS,
    alpha: float = DEFAULT_ALPHA,
) -> SanityReport:
    """Randomise both experts from the top down, one, the other and both, and see whether their maps change.

    Parameters
    ----------
    interest, overlap
        Networks as `training.onnx_graph.rebuild_network` gives them.
    specification
        How both are fed.
    films
        Films of a part that may be read; the first `MOST_FILMS` that are not refused are taken.
    lungs
        Finds the lungs; None where there is no lungs model.
    names
        Of the classes.
    seeds
        Of the random weights; likeness is averaged over them film by film.
    alpha
        Amplification.

    Returns
    -------
    SanityReport
        A map that stays alike when its weights are random shows the film, not the network.
    """
    greys = [(film.group, read_grey(film.path)) for film in films[: 2 * MOST_FILMS]]
    return measure_sanity_of(interest, overlap, specification, greys, lungs, names=names, seeds=seeds, alpha=alpha)


def measure_sanity_of(
    interest: nn.Module,
    overlap: nn.Module,
    specification: InputSpecification,
    greys: Sequence[tuple[str, NDArray[np.uint8]]],
    lungs: FindsLungs | None = None,
    *,
    names: tuple[str, str] = ("covid19", "pneumonia"),
    seeds: tuple[int, ...] = SEEDS,
    alpha: float = DEFAULT_ALPHA,
) -> SanityReport:
    """Do as `measure_sanity` for films in memory: the leak-proof unit and the pixels ``(H, W)`` of each."""
    taken = list(_prepared(greys, specification, lungs))
    methods = _Methods(*names, alpha)
    prepared = [film for _, _, film in taken]
    trained = _class_maps(interest, prepared), _class_maps(overlap, prepared)
    draws = PatientDraws([group for group, _, _ in taken])
    stages = tuple(name for name, _ in stages_of(interest))
    sums = {key: np.zeros((len(taken), 3)) for key in _keys(methods, stages)}
    for seed in seeds:
        pairs = zip(cascades(interest, seed), cascades(overlap, seed + 50), strict=True)
        for (stage, first), (_, second) in pairs:
            random = _class_maps(first, prepared), _class_maps(second, prepared)
            for which in _WHICH:
                x = random[0] if which != "overlap" else trained[0]
                y = random[1] if which != "interest" else trained[1]
                for number in range(len(taken)):
                    rows = _likeness(methods, (trained[0][number], trained[1][number]), (x[number], y[number]))
                    for name, row in zip(methods.names, rows, strict=True):
                        if (name, which, stage) in sums:
                            sums[name, which, stage][number] += row
    return SanityReport(
        interest=names[0],
        overlap=names[1],
        films=draws.films,
        patients=draws.patients,
        seeds=seeds,
        stages=stages,
        alpha=alpha,
        randomised=tuple(
            RandomisedResult(method=name, randomised=which, down_to=stage, likeness=_summary(draws, total / len(seeds)))
            for (name, which, stage), total in sums.items()
        ),
        baselines=tuple(_baseline_results(methods, draws, taken, trained)),
    )


def _keys(methods: _Methods, stages: Sequence[str]) -> Iterator[tuple[str, Which, str]]:
    """Method, randomised expert and stage, but for an expert's own map only where that expert is randomised."""
    own: dict[str, Which] = {methods.names[0]: "interest", methods.names[1]: "overlap"}
    for name in methods.names:
        for which in _WHICH:
            if own.get(name, which) == which:
                for stage in stages:
                    yield name, which, stage


def _prepared(
    greys: Sequence[tuple[str, NDArray[np.uint8]]], specification: InputSpecification, lungs: FindsLungs | None
) -> Iterator[tuple[str, NDArray[np.uint8], PreparedFilm]]:
    taken = 0
    for group, grey in greys:
        try:
            film = prepare(grey, specification, lungs)
        except ImageRefusedError:
            continue
        yield group, grey, film
        taken += 1
        if taken == MOST_FILMS:
            return


def _class_maps(network: nn.Module, films: Sequence[PreparedFilm]) -> list[FloatMap]:
    """Maps of the positive class, ``(h, w)`` each."""
    explained = ExplainedNetwork(network).eval()
    maps: list[FloatMap] = []
    with torch.inference_mode():
        for start in range(0, len(films), 8):
            batch = np.concatenate([film.inputs for film in films[start : start + 8]])
            maps += list(explained(torch.from_numpy(batch))[2][:, 1].double().numpy())
    return maps


def _likeness(
    methods: _Methods, trained: tuple[FloatMap, FloatMap], changed: tuple[FloatMap, FloatMap]
) -> Iterator[tuple[float, float, float]]:
    """Rank correlation, structure and same top of each method."""
    shown, shown_now = methods.maps(*trained), methods.maps(*changed)
    ordered, ordered_now = methods.ordered(*trained), methods.ordered(*changed)
    for number in range(len(methods.names)):
        yield (
            rank_correlation(ordered[number], ordered_now[number]),
            structural_similarity(shown[number], shown_now[number]),
            float(same_top(ordered[number], ordered_now[number])),
        )


def _summary(draws: PatientDraws, rows: NDArray[np.float64]) -> Likeness:
    correlation, structure, top = (draws.mean(rows[:, column]) for column in range(3))
    return Likeness(rank_correlation=correlation, structure=structure, same_top=top)


def _baseline_results(
    methods: _Methods,
    draws: PatientDraws,
    taken: Sequence[tuple[str, NDArray[np.uint8], PreparedFilm]],
    trained: tuple[Sequence[FloatMap], Sequence[FloatMap]],
) -> Iterator[BaselineResult]:
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for number, (_, grey, film) in enumerate(taken):
        x, y = trained[0][number], trained[1][number]
        shown, ordered = methods.maps(x, y), methods.ordered(x, y)
        for baseline, cells in baselines(grey, film, (x.shape[0], x.shape[1]), number).items():
            for name, display, order in zip(methods.names, shown, ordered, strict=True):
                alike = (
                    rank_correlation(order, cells),
                    structural_similarity(display, cells),
                    float(same_top(order, cells)),
                )
                rows.setdefault((name, baseline), []).append(alike)
    for (name, baseline), likeness in rows.items():
        yield BaselineResult(method=name, baseline=baseline, likeness=_summary(draws, np.array(likeness)))
