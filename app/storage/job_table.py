"""The job table: every film that was acknowledged, where its work stands, and what is told of it."""

from app.storage.commitments import Commitments
from app.storage.delivery_work import DeliveryWork
from app.storage.film_work import FilmWork
from app.storage.job_desk import JobDesk
from app.storage.ledger import Ledger
from app.storage.retention import Retention
from app.storage.troubles import Troubles


class JobTable(FilmWork, DeliveryWork, JobDesk, Retention, Ledger, Commitments, Troubles):
    """All parts over one database."""
