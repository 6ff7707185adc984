"""Cancellations: importing the requests as TikTok lists them, and answering them (A259-A266, A271)."""

from connector.services.cancellations.answering import AnswerPreview, answer_one, preview, submit
from connector.services.cancellations.importing import (
    BUYER_CANCEL,
    FIRST_REACH,
    OVERLAP,
    PENDING,
    get,
    import_account,
    open_requests,
    read_again,
    respond_by,
)

__all__ = [
    "BUYER_CANCEL",
    "FIRST_REACH",
    "OVERLAP",
    "PENDING",
    "AnswerPreview",
    "answer_one",
    "get",
    "import_account",
    "open_requests",
    "preview",
    "read_again",
    "respond_by",
    "submit",
]
