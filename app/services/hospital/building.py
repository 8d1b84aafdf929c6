"""Several builders as one: DICOM objects and FHIR bundles of the same answer."""

from collections.abc import Collection, Sequence

from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.services.hospital.ports import ResultBuilder
from app.services.hospital.records import Refusal, ResultContext, ResultObject
from app.services.screening import Screening


class CombinedBuilder:
    """Implements `ResultBuilder` by asking every builder for the kinds it knows; in their order."""

    def __init__(self, builders: Sequence[ResultBuilder]) -> None:
        self._builders = tuple(builders)

    def answered(
        self, source: SourceImage, screening: Screening, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build what every builder makes of a screening."""
        built = [builder.answered(source, screening, context, kinds) for builder in self._builders]
        return tuple(each for objects in built for each in objects)

    def refused(
        self, source: SourceImage, refusal: Refusal, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build what every builder makes of a refusal."""
        built = [builder.refused(source, refusal, context, kinds) for builder in self._builders]
        return tuple(each for objects in built for each in objects)

    def is_own(self, source: SourceImage) -> bool:
        """Whether any builder made it."""
        return any(builder.is_own(source) for builder in self._builders)
