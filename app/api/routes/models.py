"""``/v1/models``: what is loaded, its manifests and cards."""

from fastapi import APIRouter, Response

from app.api.dependencies import ContextDep
from app.api.responses import FastJSONResponse, problems
from app.api.schemas import FittedEnsembleDocument, LoadedModelDocument, ManifestDocument, ModelsDocument, PairDocument
from app.domain.errors import ModelNotFoundError
from app.inference.artifact import Artifact
from app.inference.ensemble_file import FittedEnsemble
from app.inference.expert import LoadedModel
from app.inference.manifest import CARD_FILE

router = APIRouter(prefix="/v1/models", tags=["models"])


def _document(model: LoadedModel) -> LoadedModelDocument:
    manifest = model.manifest
    return LoadedModelDocument(
        name=manifest.name,
        version=manifest.version,
        kind=manifest.kind,
        title=manifest.title,
        architecture=manifest.architecture,
        labels=[label.name for label in manifest.labels],
        grid=list(manifest.grid),
        region=None if manifest.region is None else manifest.region.of,
        device=model.runs_on.device,
        provider=model.runs_on.provider,
        sha256=manifest.model_sha256,
    )


def _fitted(found: FittedEnsemble) -> FittedEnsembleDocument:
    return FittedEnsembleDocument(
        created=found.created,
        age_groups=None if found.measured_on is None else list(found.measured_on.age_groups),
        evaluated=[name for name, label in found.labels.items() if label.evaluated],
    )


@router.get("", summary="List the loaded models")
async def list_models(context: ContextDep) -> ModelsDocument:
    """Return every loaded model, the shipped pairs, the ensemble's members and the networks of exclusive classes."""
    catalogue = context.catalogue
    return ModelsDocument(
        models=[_document(model) for model in catalogue.models.values()],
        pairs=[PairDocument(interest=p.interest, overlap=p.overlap, alpha=p.alpha) for p in catalogue.pairs],
        ensemble=list(catalogue.members),
        multiclass=list(catalogue.multiclass),
        regions=list(catalogue.regions),
        fitted=None if catalogue.fitted is None else _fitted(catalogue.fitted),
    )


@router.get("/{name}", summary="Show a model's manifest", response_model=ManifestDocument, responses=problems(404))
async def show_model(name: str, context: ContextDep) -> Response:
    """Return the manifest as released, with the device the model runs on."""
    artifact = _artifact(name, context)
    runs_on = context.catalogue.models[name].runs_on
    return FastJSONResponse(
        {
            "manifest": artifact.manifest.model_dump(mode="json", by_alias=True),
            "device": runs_on.device,
            "provider": runs_on.provider,
        }
    )


@router.get("/{name}/card", summary="Read a model's card", response_class=Response, responses=problems(404))
async def show_card(name: str, context: ContextDep) -> Response:
    """Return the model card as Markdown."""
    text = _artifact(name, context).path(CARD_FILE).read_text(encoding="utf-8")
    return Response(text, media_type="text/markdown; charset=utf-8")


def _artifact(name: str, context: ContextDep) -> Artifact:
    artifact = context.catalogue.artifacts.get(name)
    if artifact is None:
        raise ModelNotFoundError(
            f"there is no model {name!r}; loaded: {', '.join(sorted(context.catalogue.artifacts))}"
        )
    return artifact
