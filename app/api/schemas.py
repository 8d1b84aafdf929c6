"""The API's documents, for the OpenAPI description and for whoever checks an answer against it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.multiclass import ExplanationKind, NoExplanation
from app.domain.operating_point import MeasuredOn, NoPostTest

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Grid = list[list[float]]
Extent = Annotated[list[float], Field(min_length=4, max_length=4, description="[x0, y0, x1, y1] in original pixels")]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Document):
    """RFC 9457 problem details; ``code`` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class PictureDocument(_Document):
    """A PNG in base64; its pixels cover the whole film."""

    png: str
    width: int
    height: int


class ImageDocument(_Document):
    """The film as it was read."""

    format: Literal["png", "jpeg", "dicom"]
    width: int
    height: int
    sha256: str
    view_position: str | None
    photometric_interpretation: str
    pixel_spacing_mm: list[float] | None
    flags: list[str]


class ModelDocument(_Document):
    """Weights behind an answer and where they ran."""

    name: str
    version: str
    sha256: str
    precision: str
    device: str


class OperatingPointDocument(_Document):
    """A threshold and what was measured at it on validation."""

    name: str
    threshold: Unit
    sensitivity: Unit | None
    specificity: Unit | None
    indeterminate: Annotated[list[Unit], Field(min_length=2, max_length=2)] | None


class PostTestDocument(_Document):
    """A pre-test probability after the film, by the likelihood ratio of the decision; null for the ``reason``."""

    pretest_probability: Unit
    probability: Unit | None
    likelihood_ratio: float | None
    measured_on: MeasuredOn
    reason: NoPostTest | None


class MapDocument(_Document):
    """A signed class activation map in logits on the network's grid."""

    values: Grid
    extent: Extent
    min: float
    max: float
    outside_lungs: Unit | None
    flags: list[str]


class ExpertDocument(_Document):
    """One expert's answer; ``logit`` is the calibrated margin of in-class over out-of-class.

    ``probability`` is its logistic. A class's own logit, which its map's mean plus bias gives, is not calibrated.
    ``flags`` say why the decision is indeterminate where the film is none that the expert was measured on.
    """

    title: str
    logit: float
    probability: Unit
    decision: Literal["positive", "negative", "indeterminate"]
    flags: list[str]
    operating_point: OperatingPointDocument
    post_test_probability: Unit | None
    post_test: PostTestDocument | None
    map: MapDocument | None
    overlay: PictureDocument | None


class RegionDocument(_Document):
    """A connected area at and above half of the display map's maximum."""

    box: Annotated[list[int], Field(min_length=4, max_length=4)]
    zone: str | None
    share: Unit


class DivergenceMapDocument(_Document):
    """The directed divergence at one amplification; ``k`` is null where it overflows double precision."""

    alpha: float
    log_k: Grid | None
    k: Grid | None
    extent: Extent | None
    log_k_min: float
    log_k_max: float
    display: Grid | None
    entropy_nats: float
    top_cell_share: Unit
    outside_lungs: Unit | None
    flags: list[str]


class ScreenedDivergenceMapDocument(DivergenceMapDocument):
    """The same, laid over a film."""

    regions: list[RegionDocument]
    overlay: PictureDocument | None


class DivergenceDocument(_Document):
    """The contrast of two experts."""

    interest: str
    overlap: str
    intended_use: bool
    reason: str | None
    maps: list[ScreenedDivergenceMapDocument]


class LabelMapDocument(MapDocument):
    """What the members' mean logit of a label is made of: the mean of ``values`` plus ``bias`` is ``mean_logit``.

    ``mean_logit`` is the mean of the members' calibrated logits, whose logistics are their probabilities.
    """

    mean_logit: float
    bias: float


class LabelDocument(_Document):
    """One label of the ensemble.

    ``mean`` is the mean of the members' probabilities; ``probability`` is the mean calibrated, and no higher than its
    parent's. ``map`` and ``overlay`` are null unless ``ensemble_maps`` is included.
    """

    name: str
    parent: str | None
    probability: Unit
    mean: Unit
    spread: Unit
    members: dict[str, Unit]
    threshold: Unit
    decision: Literal["positive", "negative", "indeterminate"]
    evaluated: bool
    map: LabelMapDocument | None
    overlay: PictureDocument | None


class EnsembleDocument(_Document):
    """All labels."""

    labels: list[LabelDocument]
    flags: list[str]


class ClassDocument(_Document):
    """One of several classes that exclude each other; the probabilities of a network's classes sum to one."""

    name: str
    probability: Unit


class ExplanationDocument(_Document):
    """Whether a network has class activation maps; ``none`` has a reason, as a code and in words."""

    kind: ExplanationKind
    reason: NoExplanation | None
    detail: str | None


class ClassesDocument(_Document):
    """One network of exclusive classes; ``map`` and ``overlay`` are of the predicted class.

    Its probabilities are shares among its own classes, not calibrated against anything else: they are never compared
    with an expert's or the ensemble's, whose questions are others.
    """

    name: str
    title: str
    classes: Annotated[list[ClassDocument], Field(min_length=2)]
    predicted: str
    flags: list[str]
    explanation: ExplanationDocument
    map: MapDocument | None
    overlay: PictureDocument | None


class AgreementDocument(_Document):
    """How far a map of the classifier agrees with the predicted region; null where it is undefined.

    ``cam`` is the network's own class activation map, ``divergence`` the request's at its first amplification. ``iou``
    compares the region with the equally large hottest area of the map; ``energy_inside`` is the share of the map's heat
    in the region; ``correlation`` is Pearson's over the film's pixels.
    """

    with_: Annotated[Literal["cam", "divergence"], Field(alias="with")]
    alpha: float | None
    iou: Unit | None
    energy_inside: Unit | None
    correlation: Annotated[float, Field(ge=-1.0, le=1.0)] | None


class PredictedGridDocument(_Document):
    """Probabilities in 0..1 on a reduced grid; ``area_share`` is the share of the film at even odds or above."""

    of: str
    values: Grid
    extent: Extent
    area_share: Unit
    flags: list[Literal["empty_region", "saturated_region"]]


class PredictedRegionDocument(_Document):
    """A second output of an expert, learned from outlines: no explanation of its answer, as ``notice`` says.

    ``probability`` and ``decision`` are of ``target``; ``flags`` say why the decision is indeterminate where the film
    is none that the expert was measured on.
    """

    name: str
    title: str
    notice: str
    target: str
    probability: Unit
    decision: Literal["positive", "negative", "indeterminate"]
    flags: list[str]
    region: PredictedGridDocument
    overlay: PictureDocument | None
    agreement: list[AgreementDocument]


class ScreeningDocument(_Document):
    """The answer to one film."""

    id: str
    created: datetime
    notice: str
    device: str
    image: ImageDocument
    models: list[ModelDocument]
    experts: dict[str, ExpertDocument]
    divergence: DivergenceDocument | None
    ensemble: EnsembleDocument | None
    multiclass: list[ClassesDocument] | None
    predicted_regions: list[PredictedRegionDocument] | None
    film: PictureDocument | None
    flags: list[str]
    timings_ms: dict[str, float]


class DivergenceRequest(_Document):
    """Two maps of one grid to contrast."""

    x: Annotated[list[list[float]], Field(max_length=512, description="Map of the class of interest")]
    x_prime: Annotated[list[list[float]], Field(max_length=512, description="Map of the overlapping class")]
    alpha: float = 15.0
    clamp_negative: bool = False


class LoadedModelDocument(_Document):
    """A loaded model; the manifest has everything else. ``region`` says what it predicts a region of, if anything."""

    name: str
    version: str
    kind: str
    title: str
    architecture: str
    labels: list[str]
    grid: list[int]
    region: str | None
    device: str
    provider: str
    sha256: str


class PairDocument(_Document):
    """A shipped pair of experts."""

    interest: str
    overlap: str
    alpha: float


class FittedEnsembleDocument(_Document):
    """What was fitted to the mean of the members: when, measured on whose films, and for which labels."""

    created: datetime
    age_groups: list[str] | None
    evaluated: list[str]


class ModelsDocument(_Document):
    """All loaded models, the shipped pairs (the first is the default), the members, and the multi-class networks.

    ``regions`` names the experts whose predicted regions are served.

    ``fitted`` is null where the members' mean was not calibrated: the first member's thresholds are used then.
    """

    models: list[LoadedModelDocument]
    pairs: list[PairDocument]
    ensemble: list[str]
    multiclass: list[str]
    regions: list[str]
    fitted: FittedEnsembleDocument | None


class ManifestDocument(BaseModel):
    """A model's manifest as released."""

    model_config = ConfigDict(extra="allow")

    manifest: dict[str, Any]  # Any: the manifest has a format version of its own
    device: str
    provider: str


class LiveDocument(_Document):
    """The process answers."""

    status: Literal["live"]


class ReadyDocument(_Document):
    """The process takes films."""

    status: Literal["ready", "stopping"]
    device: str
    models: list[ModelDocument]
    waiting: int
    running: int
