"""What happens to a film before any network that answers sees it: lungs, input gate, network inputs."""

from dataclasses import dataclass

from app.domain.arrays import NetworkInput
from app.domain.errors import ImageRefusedError
from app.domain.input_gate import FACTS, Fact, judge, two_level_share
from app.domain.lung_geometry import lung_geometry
from app.domain.lung_input import to_lung_input
from app.domain.lungs import LungFields
from app.domain.preprocessing import InputSpecification, Placement, to_network_input
from app.domain.radiograph import Radiograph
from app.inference.expert import LoadedModel
from app.inference.lungs_network import LungsNetwork
from app.services.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class CheckedFilm:
    """A film that the input gate let through, or that was forced past it.

    Attributes
    ----------
    film
        As it was decoded.
    lungs
        None where not both were found, or no network looks for them.
    flags
        `app.domain.input_gate.GateFlag`, as far as they are known before an expert is fed.
    paediatric
        Whether the patient looks like a child; None where nothing says so.
    """

    film: Radiograph
    lungs: LungFields | None = None
    flags: tuple[str, ...] = ()
    paediatric: bool | None = None


def check_film(film: Radiograph, network: LungsNetwork | None, stopwatch: Stopwatch, *, force: bool) -> CheckedFilm:
    """Find the lungs of a film and judge whether it may be answered for.

    Parameters
    ----------
    film
        As it was decoded.
    network
        Finds the lungs; None lets every film pass.
    stopwatch
        Gets the stages ``lungs`` and ``gate``.
    force
        Let a refused film pass too; its flags then say why it would have been refused.

    Raises
    ------
    ImageRefusedError
        If the gate refuses it; ``low_contrast`` even if forced where there is nothing at all on the film.
    """
    if network is None:
        return CheckedFilm(film)
    manifest = network.manifest
    with stopwatch.stage("lungs"):
        films, placement = to_network_input(film, manifest.input.specification())
        outputs = network(films)
        lungs = LungFields(outputs.lungs[0], placement.extent, film.height, film.width)
        geometry = lung_geometry(lungs)
    with stopwatch.stage("gate"):
        facts = {
            name: Fact(
                manifest.calibration_of(name).probability(float(logit)), manifest.operating_point_of(name).threshold
            )
            for name, logit in zip(FACTS, outputs.logits[0], strict=True)
        }
        verdict = judge(facts, geometry, two_level_share(film.pixels), manifest.gate_limits())
    if verdict.refusal is not None and not force:
        raise ImageRefusedError(verdict.refusal.reason, verdict.refusal.detail)
    both = geometry is not None and geometry.balance > 0.0
    flags = tuple(str(flag) for flag in verdict.flags)
    return CheckedFilm(film, lungs if both else None, flags, facts["paediatric"].holds)


class Preparation:
    """Network inputs of one film, made once for every distinct specification."""

    def __init__(self, checked: CheckedFilm, stopwatch: Stopwatch) -> None:
        self._checked, self._stopwatch = checked, stopwatch
        self._made: dict[InputSpecification, tuple[NetworkInput, Placement]] = {}

    def for_network(self, network: LoadedModel) -> tuple[NetworkInput, Placement]:
        """Give a network's input; where the lungs are wanted and were not found, the whole film."""
        specification = network.manifest.input.specification()
        if specification not in self._made:
            with self._stopwatch.stage("preprocess"):
                self._made[specification] = to_lung_input(self._checked.film, specification, self._checked.lungs)
        return self._made[specification]
