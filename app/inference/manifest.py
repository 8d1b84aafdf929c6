"""What travels with released weights: the manifest of ``models/<name>/<version>/``."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.calibration import Calibration
from app.domain.input_gate import FACTS, GateLimits
from app.domain.lungs import SIDES
from app.domain.multiclass import Explanation, ExplanationKind, NoExplanation
from app.domain.operating_point import OperatingPoint, Rates
from app.domain.preprocessing import Crop, InputSpecification, IntensityRule, Placement, Rectangle
from app.domain.resampling import Kernel

SCHEMA: Literal["discern-manifest/1"] = "discern-manifest/1"
MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE, CARD_FILE = "model.onnx", "manifest.json", "golden.npz", "MODEL_CARD.md"
REPORT_FILE = "report.json"
EXPLAINED_OUTPUTS: Final = ("logits", "cam", "features")
LUNG_OUTPUTS: Final = ("logits", "lungs")
ANSWER_OUTPUTS: Final = ("logits",)
REGION_OUTPUT: Final = "region"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputEntry(_Part):
    """How to feed the network; the serialised `InputSpecification`."""

    size_px: int = Field(ge=32, le=4096)
    channels: Literal[1, 3] = 3
    layout: Literal["NCHW"] = "NCHW"
    padding: Literal["centre-zero"] = "centre-zero"
    kernel: Kernel = "bicubic"
    intensity: IntensityRule
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: Crop = "film"
    crop_margin: Unit = 0.0

    @model_validator(mode="after")
    def _is_a_specification(self) -> Self:
        self.specification()
        return self

    @classmethod
    def of(cls, specification: InputSpecification) -> Self:
        """Serialise the domain's value; the inverse of `specification`."""
        return cls.model_validate(asdict(specification))

    def specification(self) -> InputSpecification:
        """Give the domain's value."""
        return InputSpecification(
            self.size_px, self.channels, self.kernel, self.intensity, self.mean, self.std, self.crop, self.crop_margin
        )


class LabelEntry(_Part):
    """One class of the network's outputs.

    ``evaluated`` is False where the data hold too few positives for a number that means anything; ``reason`` says so.
    """

    name: str
    parent: str | None = None
    evaluated: bool = True
    reason: str | None = None


class RatesEntry(_Part):
    """Sensitivity and specificity among one kind of patients, and the films they were measured on."""

    sensitivity: Unit | None = None
    specificity: Unit | None = None
    sensitivity_interval: tuple[Unit, Unit] | None = None
    specificity_interval: tuple[Unit, Unit] | None = None
    positives: int = Field(default=0, ge=0)
    negatives: int = Field(default=0, ge=0)

    def rates(self) -> Rates:
        """Give the domain's value."""
        return Rates(self.sensitivity, self.specificity)


class OperatingPointEntry(_Part):
    """A threshold on the calibrated probability, measured on validation.

    ``indeterminate`` bounds the probabilities around the threshold that decide nothing. ``adults`` and ``children`` are
    the rates of one age group at the same threshold.
    """

    name: str
    threshold: Unit
    sensitivity: Unit | None = None
    specificity: Unit | None = None
    sensitivity_interval: tuple[Unit, Unit] | None = None
    specificity_interval: tuple[Unit, Unit] | None = None
    indeterminate: tuple[Unit, Unit] | None = None
    adults: RatesEntry | None = None
    children: RatesEntry | None = None

    @model_validator(mode="after")
    def _is_a_point(self) -> Self:
        self.point()
        return self

    def point(self) -> OperatingPoint:
        """Give the domain's value."""
        return OperatingPoint(
            self.threshold, self.sensitivity, self.specificity, self.name, self.indeterminate,
            self.adults.rates() if self.adults else None, self.children.rates() if self.children else None,
        )  # fmt: skip


class CalibrationEntry(_Part):
    """Logistic recalibration of one class's logit."""

    method: Literal["none", "temperature", "platt"] = "none"
    slope: float = Field(default=1.0, gt=0)
    intercept: float = 0.0

    def calibration(self) -> Calibration:
        """Give the domain's value."""
        return Calibration(self.slope, self.intercept)


class PrecisionEntry(_Part):
    """How weights are stored and computed with, and what the gate measured against full precision."""

    storage: Literal["fp32", "fp16"] = "fp32"
    compute: Literal["fp32"] = "fp32"
    gates: dict[str, float] = Field(default_factory=dict)


class MeasuredOnEntry(_Part):
    """Whose films a network was measured on; on others its decisions are indeterminate."""

    age_groups: tuple[Literal["adult", "paediatric"], ...] = Field(min_length=1)


class ExplanationEntry(_Part):
    """How a network of exclusive classes explains itself; ``none`` names its reason, and says it in words."""

    kind: ExplanationKind
    reason: NoExplanation | None = None
    detail: str | None = None

    @model_validator(mode="after")
    def _is_an_explanation(self) -> Self:
        self.explanation()
        return self

    def explanation(self) -> Explanation:
        """Give the domain's value."""
        return Explanation(self.kind, self.reason, self.detail)


class RegionEntry(_Part):
    """What an expert's additional output shows: the words for it, and the films whose outlines it was trained on."""

    of: str = Field(min_length=1, max_length=80)
    outlined_films: int = Field(ge=0)


class Manifest(_Part):
    """The whole manifest; unknown fields are an error.

    ``labels`` of an expert are exactly two, index 1 in-class; the expert's ``target`` is its positive class. Operating
    points and calibrations are per label name; an expert's are under its target. ``labels`` of a lungs network are
    `app.domain.input_gate.FACTS` in their order, each with the operating point from which on it counts; ``gate`` holds
    the fields of `app.domain.input_gate.GateLimits` that are applied. ``grid_px`` is the rectangle of the input, in its
    pixels, that the maps' grid covers: networks without padding do not see the input's edges; None is all of it.

    ``labels`` of a multi-class network exclude each other. It says the most probable one and needs no operating point;
    its ``calibration`` is one slope for all classes, before the softmax; ``explanation`` says whether it has maps.
    ``region`` describes the output of that name, probabilities on the input's own pixels that an expert may have beside
    its maps (decision 0009).
    """

    schema_: Literal["discern-manifest/1"] = Field(default=SCHEMA, alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    kind: Literal["expert", "multilabel", "multiclass", "lungs"]
    title: str
    architecture: str
    target: str | None = None
    labels: tuple[LabelEntry, ...] = Field(min_length=1)
    input: InputEntry
    opset: int
    outputs: dict[str, tuple[str | int, ...]]
    grid_px: tuple[float, float, float, float] | None = None
    explanation: ExplanationEntry | None = None
    region: RegionEntry | None = None
    operating_points: dict[str, tuple[OperatingPointEntry, ...]]
    calibration: dict[str, CalibrationEntry] = Field(default_factory=dict)
    gate: dict[str, float] = Field(default_factory=dict)
    measured_on: MeasuredOnEntry | None = None
    precision: PrecisionEntry = PrecisionEntry()
    training: dict[str, Any] = Field(default_factory=dict)  # Any: a record for readers, never interpreted by serving
    evaluation: dict[str, Any] = Field(default_factory=dict)  # Any: the card's numbers, as measured
    licences: tuple[str, ...] = ()
    use: Literal["research use"] = "research use"
    code_commit: str
    created: datetime
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("a label stands twice")
        if self.kind == "expert" and (len(names) != 2 or self.target != names[1]):
            raise ValueError("an expert has two labels, the second being its target")
        if self.kind == "expert" and names[0] != f"not_{names[1]}":
            raise ValueError(
                f"{names[1]!r} against {names[0]!r} is no expert: out-of-class must be everything else, not_{names[1]}"
            )
        for label in self.labels:
            if label.parent is not None and label.parent not in names:
                raise ValueError(f"the parent {label.parent!r} of {label.name!r} is no label")
        for required in (MODEL_FILE, GOLDEN_FILE, CARD_FILE):
            if required not in self.files:
                raise ValueError(f"files lacks the hash of {required}")
        self._check_classes(names)
        self._check_outputs()
        self._check_region()
        self._check_gate(names)
        decided = {"expert": [self.target], "multiclass": []}.get(self.kind, names)
        missing = [name for name in decided if name is not None and not self.operating_points.get(name)]
        if missing:
            raise ValueError(f"no operating point for {', '.join(missing)}")
        return self

    def _check_classes(self, names: list[str]) -> None:
        if (self.kind == "multiclass") != (self.explanation is not None):
            raise ValueError("a multi-class network, and no other, has an explanation")
        if self.kind == "multiclass":
            calibrations = {self.calibration_of(name) for name in names}
            if len(names) < 2 or len(calibrations) != 1 or next(iter(calibrations)).intercept != 0.0:
                raise ValueError("a multi-class network has two classes or more, with one slope and no intercept")

    def _check_outputs(self) -> None:
        wanted = self.wanted_outputs
        if not set(wanted) <= set(self.outputs):
            raise ValueError(f"outputs must name {', '.join(wanted)}")
        if self._map is None:
            if self.grid_px is not None:
                raise ValueError("grid_px is the rectangle of maps, and there are none")
            return
        planes = self.outputs[self._map]
        if len(planes) != 4 or not all(isinstance(side, int) for side in planes[1:]):
            raise ValueError(f"outputs.{self._map} must be N, planes, height and width of the grid")

        if self.grid_px is not None:
            left, top, right, bottom = self.grid_px
            if not (0.0 <= left < right <= self.input.size_px and 0.0 <= top < bottom <= self.input.size_px):
                raise ValueError(f"grid_px {self.grid_px} is no rectangle of an input of {self.input.size_px} px")

    def _check_region(self) -> None:
        if self.region is None and REGION_OUTPUT in self.outputs:
            raise ValueError(f"there is an output {REGION_OUTPUT}, but region does not say what it shows")
        if self.region is not None:
            if self.kind != "expert":
                raise ValueError("only an expert predicts a region beside its class")
            side = self.input.size_px
            if self.outputs[REGION_OUTPUT][1:] != (1, side, side):
                raise ValueError(f"outputs.{REGION_OUTPUT} must be N, 1, {side}, {side}: the input's own pixels")

    def _check_gate(self, names: list[str]) -> None:
        if self.kind == "lungs":
            if tuple(names) != FACTS:
                raise ValueError(f"the labels of a lungs network are {', '.join(FACTS)}, in this order")
            if self.outputs["lungs"][1] != len(SIDES):
                raise ValueError(f"outputs.lungs must have {len(SIDES)} planes, the right lung first")
            if self.input.crop != "film":
                raise ValueError("a lungs network sees the whole film: input.crop must be film")
            self.gate_limits()
        elif self.gate:
            raise ValueError("only a lungs network has a gate")

    @property
    def wanted_outputs(self) -> tuple[str, ...]:
        """Outputs that the network must have."""
        if self.kind == "lungs":
            return LUNG_OUTPUTS
        answers = EXPLAINED_OUTPUTS if self.explained().kind == "cam" else ANSWER_OUTPUTS
        return answers if self.region is None else (*answers, REGION_OUTPUT)

    @property
    def _map(self) -> str | None:
        if self.kind == "lungs":
            return "lungs"
        return "cam" if self.explained().kind == "cam" else None

    @property
    def grid(self) -> tuple[int, ...]:
        """Height and width of the maps, in cells; empty where there are none."""
        if self._map is None:
            return ()
        height, width = self.outputs[self._map][2:]
        return int(height), int(width)

    def explained(self) -> Explanation:
        """Say whether a network that answers has class activation maps; all have but some of exclusive classes."""
        return Explanation() if self.explanation is None else self.explanation.explanation()

    def extent_of(self, placement: Placement) -> Rectangle:
        """Give the rectangle of a film, in its pixels, that the maps' grid covers."""
        return placement.extent_of(self.grid_px)

    def gate_limits(self) -> GateLimits:
        """Give the domain's value."""
        return GateLimits.of(self.gate)

    @property
    def model_sha256(self) -> str:
        """Hash of ``model.onnx``."""
        return self.files[MODEL_FILE]

    def calibration_of(self, label: str) -> Calibration:
        """The label's calibration; the identity where none is stored."""
        return self.calibration.get(label, CalibrationEntry()).calibration()

    def operating_point_of(self, label: str) -> OperatingPoint:
        """The label's first, default operating point."""
        return self.operating_points[label][0].point()
