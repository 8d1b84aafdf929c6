"""Joins the DICOM listener."""

from app.bootstrap.hospital import HospitalSide
from app.pacs.certificates import RenewedContext
from app.pacs.doorway import ServerContext
from app.pacs.store_scp import ListenerLimits, StoreScp
from app.services.hospital.refused_callers import RefusedCallers


def make_listener(side: HospitalSide, refused: RefusedCallers) -> StoreScp:
    """Make the listener of the settings; it tells of callers that it turns away.

    Raises
    ------
    DestinationError
        ``configuration`` where a certificate cannot be read.
    """
    settings = side.settings.pacs
    tls: ServerContext | None = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = RenewedContext(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    limits = ListenerLimits(
        object_bytes=side.settings.limits.max_upload_bytes,
        held_bytes=settings.max_held_bytes,
        associations=settings.max_associations,
        associations_per_peer=settings.max_associations_per_peer,
        request_s=settings.request_s,
        idle_s=settings.idle_s,
    )
    return StoreScp(
        side.receiver, settings.ae_title, settings.callers, settings.any_called, limits, tls, side.table.reported,
        refused.refused,
    )  # fmt: skip
