"""Answers as DICOM objects: which kinds there are of what, and each built the same way twice."""

import warnings
from collections.abc import Collection

from app.domain.result_identity import ResultKind
from app.domain.source_image import SourceImage
from app.pacs.findings_report import findings_report
from app.pacs.not_analysed import not_analysed
from app.pacs.own_objects import is_own
from app.pacs.picture import picture_of, refusal_picture
from app.pacs.presentation_state import presentation_state
from app.pacs.regions_report import regions_report
from app.pacs.secondary_capture import secondary_capture
from app.pacs.segmentation import segmentation
from app.pacs.source_dataset import source_dataset
from app.pacs.text_report import text_report
from app.services.hospital.records import Refusal, ResultContext, ResultObject
from app.services.screening import Screening


class DicomResultBuilder:
    """`ResultBuilder` with pydicom and highdicom; stateless."""

    def answered(
        self, source: SourceImage, screening: Screening, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build the objects of a screening; kinds that have nothing to say are left out."""
        study = source_dataset(source)
        built: list[ResultObject | None] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that the source brought along
            if ResultKind.SECONDARY_CAPTURE in kinds:
                said = "; ".join(
                    f"{each.title} {each.decision} {each.probability:.3f}" for each in screening.result.experts.values()
                )
                pixels = picture_of(screening, context)
                built.append(secondary_capture(source, study, pixels, context, said))
            if ResultKind.REGIONS_REPORT in kinds:
                built.append(regions_report(source, study, screening, context))
            if ResultKind.FINDINGS_REPORT in kinds:
                built.append(findings_report(source, study, screening, context))
            if ResultKind.TEXT_REPORT in kinds:
                built.append(text_report(source, study, screening, context))
            if ResultKind.SEGMENTATION in kinds:
                built.append(segmentation(source, study, screening, context))
            if ResultKind.PRESENTATION_STATE in kinds:
                built.append(presentation_state(source, study, screening, context))
        return tuple(each for each in built if each is not None)

    def refused(
        self, source: SourceImage, refusal: Refusal, context: ResultContext, kinds: Collection[ResultKind]
    ) -> tuple[ResultObject, ...]:
        """Build the coded refusal: an SR always, a picture where one is wanted."""
        study = source_dataset(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = [not_analysed(source, study, refusal, context)]
            if ResultKind.SECONDARY_CAPTURE in kinds:
                pixels = refusal_picture(refusal, context)
                built.append(secondary_capture(source, study, pixels, context, f"NOT ANALYSED: {refusal.code}"))
        return tuple(built)

    def is_own(self, source: SourceImage) -> bool:
        """Whether an object is a result of this service."""
        return is_own(source)
