"""What a reader should know about how a film was read: the words that appear in ``Radiograph.flags``."""

from enum import StrEnum


class ReadingFlag(StrEnum):
    """A remark on the reading; none of them stops it."""

    CONVERTED_FROM_COLOUR = "converted_from_colour"
    ALPHA_COMPOSITED = "alpha_composited"
    ORIENTATION_APPLIED = "orientation_applied"
    JPEG_IRREGULAR = "jpeg_irregular"
    FILE_META_MISSING = "file_meta_missing"
    BURNED_IN_ANNOTATION = "burned_in_annotation"
    DECUBITUS_VIEW = "decubitus_view"
    MODALITY_CONTRADICTS_OBJECT = "modality_contradicts_object"
    PADDING_BLACKENED = "padding_blackened"
    RESCALE_INVALID = "rescale_invalid"
    VOI_WINDOW_MISSING = "voi_window_missing"
    VOI_WINDOW_INVALID = "voi_window_invalid"
    VOI_SEVERAL = "several_voi_alternatives"
