"""One film in; experts, their maps, the directed divergence, the ensemble and the overlays out."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from app.domain.activation_map import evidence_contrast, lay_over_film, peak_is_on_film
from app.domain.arrays import FloatMap
from app.domain.directed_divergence import LOW_CONTRAST_RANGE, DirectedDivergence, directed_divergences
from app.domain.errors import DivergenceError, DivergenceReason
from app.domain.input_gate import GateFlag, is_enlarged
from app.domain.lungs import hottest_zone, zones
from app.domain.operating_point import post_test
from app.domain.overlay import overlay_size
from app.domain.preprocessing import Rectangle
from app.domain.radiograph import Radiograph
from app.domain.regions import Region, hot_regions
from app.domain.screening import (
    FORCED,
    NEGLIGIBLE_EVIDENCE,
    NOTHING_SPECIFIC,
    DivergenceFinding,
    ExpertFinding,
    ModelIdentity,
    ScreeningResult,
    drawn,
    intended_use,
)
from app.inference.catalogue import Catalogue
from app.inference.expert import LoadedModel, Network, NetworkOutputs
from app.inference.scheduling import WorkQueue
from app.services.ensemble import ask_ensemble
from app.services.map_measures import PEAK_OUTSIDE_FILM, evidence_flags, reasons_for_doubt, share_outside_lungs
from app.services.multiclass import ask_multiclass
from app.services.options import ScreeningOptions
from app.services.ports import PictureEncoder, RadiographDecoder
from app.services.predicted_regions import predict_regions
from app.services.preparation import CheckedFilm, Preparation, check_film
from app.services.rendering import Pictures, render
from app.services.stopwatch import Stopwatch

_REGION_GRID_PX = 256
OUT_OF_CLASS_MAP = "out_of_class_map"
"""Flag of a map that shows what speaks against the expert's class, as the predicted class was asked for."""


@dataclass(frozen=True, slots=True)
class Screening:
    """A result and its pictures (None where they were not asked for)."""

    result: ScreeningResult
    pictures: Pictures | None
    options: ScreeningOptions


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
        checked = check_film(film, self._catalogue.lungs, stopwatch, force=options.force)
        prepared = Preparation(checked, stopwatch)
        maps_wanted = bool(options.include & {"maps", "overlays", "regions"})
        experts: dict[str, ExpertFinding] = {}
        for name in dict.fromkeys((pair.interest, pair.overlap)):
            network = self._catalogue.expert(name)
            pretest = options.pretest_probability if name == pair.interest else None
            experts[name] = _ask(network, checked, prepared, options, stopwatch, maps=maps_wanted, pretest=pretest)
        alphas = options.alphas or (pair.alpha,)
        divergence = None
        if maps_wanted:
            with stopwatch.stage("maps"):
                divergence = _contrast(
                    checked, experts[pair.interest], experts[pair.overlap], alphas, regions="regions" in options.include
                )
        ensemble = None
        if options.include & {"ensemble", "ensemble_maps"}:
            ensemble = ask_ensemble(
                self._catalogue, checked, prepared, stopwatch, maps="ensemble_maps" in options.include
            )
        multiclass = None
        if "multiclass" in options.include:
            drawn_too = bool(options.include & {"maps", "overlays"})
            multiclass = ask_multiclass(self._catalogue, checked, prepared, stopwatch, maps=drawn_too)
        predicted = None
        if "predicted_regions" in options.include:
            predicted = predict_regions(self._catalogue, checked, prepared, divergence, stopwatch)
        pictures = None
        if options.include & {"overlays", "film"}:
            pictures = render(
                film, experts, divergence, options, self._encoder, stopwatch,
                ensemble=ensemble, multiclass=multiclass, predicted=predicted or (),
            )  # fmt: skip
        asked = [self._catalogue.expert(name) for name in experts]
        used: list[LoadedModel] = [*asked, *(self._catalogue.members.values() if ensemble is not None else ())]
        used += self._catalogue.multiclass.values() if multiclass is not None else ()
        used += self._catalogue.regions.values() if predicted is not None else ()
        used += [self._catalogue.lungs] if self._catalogue.lungs is not None else []
        enlarged = any(is_enlarged(prepared.for_network(network)[1]) for network in asked)
        flags = (
            *film.flags,
            *checked.flags,
            *((str(GateFlag.LOW_RESOLUTION),) if enlarged else ()),
            *((FORCED,) if options.force else ()),
        )
        result = ScreeningResult(
            film, tuple(identity(model) for model in used), experts, divergence, ensemble, flags, stopwatch.elapsed_ms,
            multiclass,
            predicted,
            checked.lungs,
        )  # fmt: skip
        return Screening(result, pictures, options)


def identity(model: LoadedModel) -> ModelIdentity:
    """Name the weights behind an answer."""
    manifest = model.manifest
    return ModelIdentity(
        manifest.name, manifest.version, manifest.model_sha256, manifest.precision.compute, model.runs_on.device
    )


def _ask(
    network: Network,
    checked: CheckedFilm,
    prepared: Preparation,
    options: ScreeningOptions,
    stopwatch: Stopwatch,
    *,
    maps: bool,
    pretest: float | None,
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
    extent = manifest.extent_of(placement)
    reasons = reasons_for_doubt(checked, manifest.measured_on)
    decision = "indeterminate" if reasons else point.decide(probability)
    evidence = _evidence(outputs, options)
    out_of_class = (OUT_OF_CLASS_MAP,) if _shows_out_of_class(outputs, options) else ()
    return ExpertFinding(
        name=manifest.name,
        title=manifest.title,
        logit=calibration.logit(margin),
        probability=probability,
        decision=decision,
        operating_point=point,
        activation_map=evidence,
        extent=extent,
        flags=() if evidence is None else evidence_flags(evidence, extent, checked.film) + out_of_class,
        post_test=post_test(pretest, point, decision, checked.paediatric) if pretest is not None else None,
        outside_lungs=None if evidence is None else share_outside_lungs(evidence, extent, checked),
        doubts=reasons,
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


def _divergence_flags(found: DirectedDivergence, extent: Rectangle, film: Radiograph) -> tuple[str, ...]:
    flags = () if peak_is_on_film(found.log_k, extent, film.height, film.width) else (PEAK_OUTSIDE_FILM,)
    low, high = float(found.log_k.min()), float(found.log_k.max())
    return (*flags, NOTHING_SPECIFIC) if low < high < LOW_CONTRAST_RANGE else flags


def _contrast(
    checked: CheckedFilm, interest: ExpertFinding, overlap: ExpertFinding, alphas: tuple[float, ...], *, regions: bool
) -> DivergenceFinding:
    """Contrast two findings of one film; maps of different grids or rectangles are refused (SPEC 1.6)."""
    if interest.activation_map is None or overlap.activation_map is None:
        raise ValueError("a contrast needs both maps")
    if interest.extent != overlap.extent:
        raise DivergenceError(
            DivergenceReason.SHAPE_MISMATCH,
            f"{interest.name} sees the rectangle {interest.extent} of the film, {overlap.name} {overlap.extent}",
        )
    weak = tuple(
        f"{operand}:{NEGLIGIBLE_EVIDENCE}"
        for operand, finding in (("x", interest), ("x'", overlap))
        if NEGLIGIBLE_EVIDENCE in finding.flags
    )
    maps = tuple(
        replace(each, flags=(*each.flags, *weak, *_divergence_flags(each, interest.extent, checked.film)))
        for each in directed_divergences(interest.activation_map, overlap.activation_map, alphas)
    )
    used_as_intended, reason = intended_use(interest, overlap)
    shown = [drawn(each.display, each.flags) for each in maps]
    found = _regions(checked, shown, interest.extent) if regions else ()
    outside = tuple(share_outside_lungs(each.display, interest.extent, checked) for each in maps)
    return DivergenceFinding(
        interest.name, overlap.name, used_as_intended, reason, maps, interest.extent, outside, found
    )


def _regions(checked: CheckedFilm, displays: Sequence[FloatMap], extent: Rectangle) -> tuple[tuple[Region, ...], ...]:
    film = checked.film
    height, width = overlay_size(film.height, film.width, _REGION_GRID_PX)
    name = None if checked.lungs is None else partial(hottest_zone, cut=zones(checked.lungs, height, width))
    return tuple(
        hot_regions(
            lay_over_film(display, extent, film.height, film.width, height, width),
            film.height,
            film.width,
            zone_of=name,
        )
        for display in displays
    )
