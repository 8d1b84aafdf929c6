"""An audit record of every event, and of the shapes that an event can take."""

from datetime import UTC, datetime

from app.services.hospital.audit_terms import AuditSource
from app.services.hospital.auditing import EVENTS, AuditRecord

SOURCE = AuditSource("CXRAI", "General Hospital", "worker-1", "CXRAI", "42", "Discern 0.1.0")
STUDY = {"study_uid": "1.2.3", "sop_instance_uid": "1.2.3.4", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1"}
WHO = {
    "started": {},
    "stopped": {"user": "engineer"},
    "configured": {"user": "engineer", "address": "10.0.0.7"},
    "received": {"sender": "MODALITY", "address": "10.0.0.5", "patient_key": "ab12", "job_id": "j1", **STUDY},
    "refused": {"sender": "MODALITY", "reason": "unreadable_image"},
    "association_refused": {"sender": "STRANGER", "address": "fe80::1", "reason": "caller_not_recognised"},
    "created": {"patient_key": "ab12", "job_id": "j1", **STUDY},
    "sent": {"destination": "PACS", "address": "pacs.example", "patient_id": "4711", **STUDY},
    "accessed": {"user": "reader", "job_id": "j1", "study_uid": "1.2.3", "patient_key": "ab12"},
    "replayed": {"user": "operator", "job_id": "j1"},
    "cancelled": {"user": "operator", "job_id": "j1"},
    "queried": {"destination": "PACS", "query": "StudyDate=20261124-20261125", "sop_class_uid": "1.2.840.10008.5.1"},
    "exported": {"user": "reader", "destination": "research share", **STUDY},
    "purged": {"study_uid": "1.2.3", "patient_key": "ab12"},
    "audit_used": {"user": "auditor"},
}
AT = datetime(2026, 11, 25, 12, 0, 0, 123456, UTC)
RECORDS = [
    *(AuditRecord(n, AT, event, "success", WHO[event], "ab" * 32) for n, event in enumerate(sorted(EVENTS), 1)),
    AuditRecord(90, AT, "refused", "minor_failure", {"sender": "MODALITY", "reason": "invalid_uid", **STUDY}),
    AuditRecord(91, AT, "sent", "serious_failure", {"destination": "PACS", "reason": "unreachable", **STUDY}),
    AuditRecord(92, AT, "purged", "success", {"job_id": "j1", **STUDY}),
    AuditRecord(93, AT, "received", "success", {"sender": '<&"\x00\x1b\ud800é\uffff', **STUDY}),
    AuditRecord(94, AT, "queried", "success", {}),
    AuditRecord(96, AT, "association_refused", "minor_failure", {"address": "10.0.0.9", "reason": "r", "count": "7"}),
    AuditRecord(95, AT, "exported", "success", {}),
]
