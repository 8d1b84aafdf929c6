"""The models a process serves: loaded, verified, paired."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import ArtifactError, ModelNotFoundError
from app.inference.artifact import Artifact, find_artifacts, newest
from app.inference.batching import BatchedNetwork
from app.inference.device import Device
from app.inference.ensemble_file import FittedEnsemble, read_ensemble_file
from app.inference.expert import LoadedModel, Network
from app.inference.lungs_network import LungsNetwork, OnnxLungsNetwork
from app.inference.region_network import OnnxRegionNetwork, RegionNetwork, onnx_network

CATALOGUE_FILE = "catalogue.json"


class Pair(BaseModel):
    """Two experts that are contrasted, and with which amplification if the caller names none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interest: str
    overlap: str
    alpha: Annotated[float, Field(gt=0, le=700)] = 15.0


class EnsembleEntry(BaseModel):
    """The multi-label networks whose mean probability is reported."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[str, ...] = ()


class CatalogueFile(BaseModel):
    """``models/catalogue.json``: pairs, the ensemble and the lungs network are data beside the models.

    The first pair is the default. Without ``lungs`` there is no input gate, and no map knows where the lungs are.
    ``multiclass`` names the networks of exclusive classes that answer too; others of that kind are not loaded.
    ``regions`` names the experts whose predicted regions are served on request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["discern-catalogue/1"] = Field(alias="schema")
    pairs: tuple[Pair, ...] = Field(min_length=1)
    ensemble: EnsembleEntry = EnsembleEntry()
    lungs: str | None = None
    multiclass: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


class Catalogue:
    """Loaded networks by name, and the one that finds the lungs."""

    def __init__(
        self,
        networks: Mapping[str, Network],
        artifacts: Mapping[str, Artifact],
        content: CatalogueFile,
        lungs: LungsNetwork | None = None,
        fitted: FittedEnsemble | None = None,
        regions: Mapping[str, RegionNetwork] = MappingProxyType({}),
    ) -> None:
        self._networks = MappingProxyType(dict(networks))
        self._artifacts = MappingProxyType(dict(artifacts))
        self._content, self._lungs, self._fitted = content, lungs, fitted
        for name, network in networks.items():
            if network.manifest.input.crop != "film" and lungs is None:
                raise ArtifactError(
                    f"{name} is fed with the lungs' part of a film, but {CATALOGUE_FILE} names no lungs"
                )
        for pair in content.pairs:
            for name in (pair.interest, pair.overlap):
                if name not in networks:
                    raise ArtifactError(f"{CATALOGUE_FILE} pairs {name!r}, but there is no such model")
                self.expert(name)
        for name in content.ensemble.members:
            if name not in networks or networks[name].manifest.kind != "multilabel":
                raise ArtifactError(f"{CATALOGUE_FILE}: the ensemble's member {name!r} is not a multi-label model here")
        for name in content.multiclass:
            if name not in networks or networks[name].manifest.kind != "multiclass":
                raise ArtifactError(f"{CATALOGUE_FILE}: {name!r} is no network of exclusive classes here")
        for name in content.regions:
            if name not in regions:
                raise ArtifactError(f"{CATALOGUE_FILE}: {name!r} is no expert with a predicted region here")
        self._regions = MappingProxyType({name: regions[name] for name in content.regions})
        if fitted is not None:
            fitted.check_members({name: member.manifest for name, member in self.members.items()})

    @property
    def networks(self) -> Mapping[str, Network]:
        """Every loaded network by name."""
        return self._networks

    @property
    def lungs(self) -> LungsNetwork | None:
        """The network that finds the lungs; None where none is shipped."""
        return self._lungs

    @property
    def models(self) -> Mapping[str, LoadedModel]:
        """Everything that is loaded by name, the lungs network last."""
        lungs = {} if self._lungs is None else {self._lungs.manifest.name: self._lungs}
        return {**self._networks, **lungs}

    @property
    def artifacts(self) -> Mapping[str, Artifact]:
        """The directories they were loaded from."""
        return self._artifacts

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs as shipped; the first is the default."""
        return self._content.pairs

    @property
    def members(self) -> Mapping[str, Network]:
        """The ensemble's members by name."""
        return {name: self._networks[name] for name in self._content.ensemble.members}

    @property
    def multiclass(self) -> Mapping[str, Network]:
        """The networks of exclusive classes by name."""
        return {name: self._networks[name] for name in self._content.multiclass}

    @property
    def regions(self) -> Mapping[str, RegionNetwork]:
        """Experts whose predicted regions are served, by name."""
        return self._regions

    @property
    def fitted(self) -> FittedEnsemble | None:
        """What was fitted to the mean of these very members; None where nothing was."""
        return self._fitted

    def expert(self, name: str) -> Network:
        """Give an expert by name.

        Raises
        ------
        ModelNotFoundError
            If there is none of that name, with the names there are.
        """
        network = self._networks.get(name)
        if network is None or network.manifest.kind != "expert":
            known = ", ".join(sorted(n for n, each in self._networks.items() if each.manifest.kind == "expert"))
            raise ModelNotFoundError(f"there is no expert {name!r}; loaded: {known}")
        return network

    def pair(self, interest: str | None, overlap: str | None) -> Pair:
        """Complete a pair: shipped defaults where a side is not named; any two experts may be paired.

        Raises
        ------
        ModelNotFoundError
            If an expert does not exist.
        """
        default = self.pairs[0]
        if interest is None and overlap is None:
            return default
        if interest is None:
            interest = default.overlap if overlap == default.interest else default.interest
        elif overlap is None:
            overlap = default.interest if interest == default.overlap else default.overlap
        chosen = (self.expert(interest).manifest.name, self.expert(str(overlap)).manifest.name)
        shipped = [pair for pair in self.pairs if (pair.interest, pair.overlap) == chosen]
        return shipped[0] if shipped else Pair(interest=chosen[0], overlap=chosen[1], alpha=default.alpha)

    def close(self) -> None:
        """Let batching networks answer what waits."""
        for network in self._networks.values():
            if isinstance(network, BatchedNetwork):
                network.close()


def read_catalogue_file(models_dir: Path) -> CatalogueFile:
    """Read ``catalogue.json``.

    Raises
    ------
    ArtifactError
        If it is absent or not valid.
    """
    path = models_dir / CATALOGUE_FILE
    try:
        return CatalogueFile.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(f"{models_dir} has no {CATALOGUE_FILE}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtifactError(f"{CATALOGUE_FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def load_catalogue(models_dir: Path, device: Device, *, batch: bool = False) -> Catalogue:
    """Load the newest version of every released model.

    Parameters
    ----------
    models_dir
        ``models/``.
    device
        Where all of them run.
    batch
        Join concurrent calls into batches (worth it on an accelerator only).

    Raises
    ------
    ArtifactError
        If a model or the catalogue is not valid; nothing is served from a broken release.
    """
    content = read_catalogue_file(models_dir)
    found = newest(find_artifacts(models_dir))
    if content.lungs is not None and (content.lungs not in found or found[content.lungs].manifest.kind != "lungs"):
        raise ArtifactError(f"{CATALOGUE_FILE}: {content.lungs!r} is no lungs network here")
    wanted = {content.lungs, *content.multiclass}
    artifacts = {
        name: artifact
        for name, artifact in found.items()
        if artifact.manifest.kind not in ("lungs", "multiclass") or name in wanted
    }
    networks: dict[str, Network] = {}
    regions: dict[str, RegionNetwork] = {}
    lungs: LungsNetwork | None = None
    for name, artifact in artifacts.items():
        if artifact.manifest.kind == "lungs":
            lungs = OnnxLungsNetwork(artifact, device)
            continue
        network = onnx_network(artifact, device)
        if isinstance(network, OnnxRegionNetwork):
            regions[name] = network
        networks[name] = BatchedNetwork(network) if batch else network
    return Catalogue(networks, artifacts, content, lungs, read_ensemble_file(models_dir), regions)


def load_model(artifact: Artifact, device: Device) -> LoadedModel:
    """Load one artefact of any kind as `load_catalogue` does; raises what its network raises."""
    return OnnxLungsNetwork(artifact, device) if artifact.manifest.kind == "lungs" else onnx_network(artifact, device)
