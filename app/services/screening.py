"""One film in; experts, their maps, the directed divergence, the ensemble and the overlays out."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from app.domain.activation_map import evidence_contrast, lay_over_film, peak_is_on_film
from app.domain.arrays import FloatMap, NetworkInput
from app.domain.directed_divergence import directed_divergences
from app.domain.ensemble import EnsembleResult, combine
from app.domain.errors import DivergenceError, DivergenceReason
from app.domain.operating_point import post_test_probability
from app.domain.overlay import overlay_size
from app.domain.preprocessing import InputSpecification, Placement, to_network_input
from app.domain.radiograph import Radiograph
from app.domain.regions import Region, hot_regions
from app.domain.screening import DivergenceFinding, ExpertFinding, ModelIdentity, ScreeningResult, intended_use
from app.inference.catalogue import Catalogue
from app.inference.expert import Network, NetworkOutputs
from app.inference.scheduling import WorkQueue
from app.services.options import ScreeningOptions
from app.services.ports import PictureEncoder, RadiographDecoder
from app.services.rendering import Pictures, render

_REGION_GRID_PX = 256
_LOW_RESOLUTION_PX = 256
OUT_OF_CLASS_MAP = "out_of_class_map"
"""Flag of a map that shows what speaks against the expert's class, as the predicted class was asked for."""
PEAK_OUTSIDE_FILM = "peak_outside_film"
"""Flag of a map whose strongest cell lies in the padding around the film."""


@dataclass(frozen=True, slots=True)
class Screening:
    """A result and its pictures (None where they were not asked for)."""

    result: ScreeningResult
    pictures: Pictures | None
    options: ScreeningOptions


class Stopwatch:
    """Milliseconds of named stages, by a clock of seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.elapsed_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; a stage entered twice adds up."""
        started = self._clock()
        try:
            yield
        finally:
            self.elapsed_ms[name] = self.elapsed_ms.get(name, 0.0) + 1000.0 * (self._clock() - started)


class _Preparation:
    """Network inputs of one film, made once for every distinct specification."""

    def __init__(self, film: Radiograph, stopwatch: Stopwatch) -> None:
        self._film, self._stopwatch = film, stopwatch
        self._made: dict[InputSpecification, tuple[NetworkInput, Placement]] = {}

    def for_network(self, network: Network) -> tuple[NetworkInput, Placement]:
        specification = network.manifest.input.specification()
        if specification not in self._made:
            with self._stopwatch.stage("preprocess"):
                self._made[specification] = to_network_input(self._film, specification)
        return self._made[specification]


class ScreeningService:
    """Screens films on the work queue.

    Parameters
    ----------
    decoder, encoder
        The edges.
    catalogue
        Loaded models.
    queue
        Where the work is done.
    request_timeout_s
        A film that could not be started by then is given up.
    stage_clock
        Seconds, for the stages' timings: wall time, or a thread's processor time where work is to be counted.
    """

    def __init__(
        self,
        decoder: RadiographDecoder,
        encoder: PictureEncoder,
        catalogue: Catalogue,
        queue: WorkQueue,
        request_timeout_s: float = 30.0,
        stage_clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._decoder, self._encoder, self._catalogue = decoder, encoder, catalogue
        self._queue, self._request_timeout_s = queue, request_timeout_s
        self._stage_clock = stage_clock

    def submit(self, content: bytes, options: ScreeningOptions) -> Future[Screening]:
        """Queue a film; see `WorkQueue.submit` for what is raised when the queue is full."""
        return self._queue.submit(lambda: self.screen(content, options), self._request_timeout_s)

    def screen(self, content: bytes, options: ScreeningOptions) -> Screening:
        """Screen one film on the calling thread.

        Parameters
        ----------
        content
            PNG, JPEG or DICOM bytes.
        options
            What to compute and return.

        Returns
        -------
        Screening
            With pictures where they were asked for.

        Raises
        ------
        ScreeningError
            Every failure that the content or the options can cause.
        """
        stopwatch = Stopwatch(self._stage_clock)
        pair = self._catalogue.pair(options.interest, options.overlap)
        with stopwatch.stage("decode"):
            film = self._decoder.decode(content, tolerate_refusals=options.force)
        prepared = _Preparation(film, stopwatch)
        maps_wanted = bool(options.include & {"maps", "overlays", "regions"})
        experts: dict[str, ExpertFinding] = {}
        for name in dict.fromkeys((pair.interest, pair.overlap)):
            network = self._catalogue.expert(name)
            experts[name] = self._ask(network, prepared, options, stopwatch, maps=maps_wanted, interest=pair.interest)
        alphas = options.alphas or (pair.alpha,)
        divergence = None
        if maps_wanted:
            with stopwatch.stage("maps"):
                divergence = _contrast(
                    film, experts[pair.interest], experts[pair.overlap], alphas, regions="regions" in options.include
                )
        ensemble = self._ensemble(prepared, stopwatch) if "ensemble" in options.include else None
        pictures = None
        if options.include & {"overlays", "film"}:
            pictures = render(film, experts, divergence, options, self._encoder, stopwatch)
        used = [self._catalogue.expert(name) for name in experts]
        used += list(self._catalogue.members.values()) if ensemble is not None else []
        result = ScreeningResult(
            film, tuple(identity(network) for network in used), experts, divergence, ensemble,
            _film_flags(film, options), stopwatch.elapsed_ms,
        )  # fmt: skip
        return Screening(result, pictures, options)

    def _ask(
        self,
        network: Network,
        prepared: _Preparation,
        options: ScreeningOptions,
        stopwatch: Stopwatch,
        *,
        maps: bool,
        interest: str,
    ) -> ExpertFinding:
        films, placement = prepared.for_network(network)
        with stopwatch.stage("networks"):
            outputs = network(films, maps=maps)
        manifest = network.manifest
        target = manifest.labels[1].name
        calibration = manifest.calibration_of(target)
        margin = float(outputs.logits[0, 1]) - float(outputs.logits[0, 0])
        probability = calibration.probability(margin)
        point = manifest.operating_point_of(target)
        decision = point.decide(probability)
        evidence = _evidence(outputs, options)
        out_of_class = (OUT_OF_CLASS_MAP,) if _shows_out_of_class(outputs, options) else ()
        pretest = options.pretest_probability if manifest.name == interest else None
        return ExpertFinding(
            name=manifest.name,
            title=manifest.title,
            logit=calibration.logit(margin),
            probability=probability,
            decision=decision,
            operating_point=point,
            activation_map=evidence,
            extent=placement.extent,
            flags=() if evidence is None else _map_flags(evidence, placement) + out_of_class,
            post_test_probability=post_test_probability(pretest, point, decision) if pretest is not None else None,
        )

    def _ensemble(self, prepared: _Preparation, stopwatch: Stopwatch) -> EnsembleResult | None:
        members = self._catalogue.members
        if not members:
            return None
        probabilities: dict[str, Mapping[str, float]] = {}
        for name, network in members.items():
            films, _ = prepared.for_network(network)
            with stopwatch.stage("networks"):
                logits = network(films, maps=False).logits[0]
            probabilities[name] = {
                label.name: network.manifest.calibration_of(label.name).probability(float(logits[index]))
                for index, label in enumerate(network.manifest.labels)
            }
        first = next(iter(members.values())).manifest
        return combine(
            probabilities,
            {label.name: first.operating_point_of(label.name) for label in first.labels},
            {label.name: label.parent for label in first.labels},
            {label.name: label.evaluated for label in first.labels},
        )


def identity(network: Network) -> ModelIdentity:
    """Name the weights behind an answer."""
    manifest = network.manifest
    return ModelIdentity(
        manifest.name, manifest.version, manifest.model_sha256, manifest.precision.compute, network.runs_on.device
    )


def _evidence(outputs: NetworkOutputs, options: ScreeningOptions) -> FloatMap | None:
    if outputs.cam is None:
        return None
    if options.evidence == "contrast":
        chosen = evidence_contrast(outputs.cam)[0]
    else:
        chosen = outputs.cam[0, 0 if _shows_out_of_class(outputs, options) else 1]
    evidence: FloatMap = chosen.astype(np.float64)
    return evidence


def _shows_out_of_class(outputs: NetworkOutputs, options: ScreeningOptions) -> bool:
    return options.evidence == "predicted" and bool(outputs.logits[0, 0] > outputs.logits[0, 1])


def _map_flags(evidence: FloatMap, placement: Placement) -> tuple[str, ...]:
    if float(evidence.max()) <= 0.0:
        return ("no_positive_evidence",)
    on_film = peak_is_on_film(evidence, placement.extent, placement.film_height, placement.film_width)
    return () if on_film else (PEAK_OUTSIDE_FILM,)


def _contrast(
    film: Radiograph, interest: ExpertFinding, overlap: ExpertFinding, alphas: tuple[float, ...], *, regions: bool
) -> DivergenceFinding:
    """Contrast two findings of one film; maps of different grids or rectangles are refused (SPEC 1.6)."""
    if interest.activation_map is None or overlap.activation_map is None:
        raise ValueError("a contrast needs both maps")
    if interest.extent != overlap.extent:
        raise DivergenceError(
            DivergenceReason.SHAPE_MISMATCH,
            f"{interest.name} sees the rectangle {interest.extent} of the film, {overlap.name} {overlap.extent}",
        )
    maps = tuple(
        each
        if peak_is_on_film(each.log_k, interest.extent, film.height, film.width)
        else replace(each, flags=(*each.flags, PEAK_OUTSIDE_FILM))
        for each in directed_divergences(interest.activation_map, overlap.activation_map, alphas)
    )
    used_as_intended, reason = intended_use(interest, overlap)
    found = tuple(_regions(film, each.display, interest) for each in maps) if regions else ()
    return DivergenceFinding(interest.name, overlap.name, used_as_intended, reason, maps, interest.extent, found)


def _regions(film: Radiograph, display: FloatMap, finding: ExpertFinding) -> tuple[Region, ...]:
    height, width = overlay_size(film.height, film.width, _REGION_GRID_PX)
    return hot_regions(
        lay_over_film(display, finding.extent, film.height, film.width, height, width), film.height, film.width
    )


def _film_flags(film: Radiograph, options: ScreeningOptions) -> tuple[str, ...]:
    flags = list(film.flags)
    if max(film.height, film.width) < _LOW_RESOLUTION_PX:
        flags.append("low_resolution")
    if options.force:
        flags.append("forced")
    return tuple(flags)
