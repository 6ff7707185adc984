"""Deadlines of orders, cancellations, returns and recalls: what is due next, the board of pending actions, and warnings before they pass."""

from connector.domain.deadlines import ANSWER_CANCELLATION, ANSWER_RETURN, AUTO_CANCEL, RECALL, SHIP_BY
from connector.services.deadlines.board import IDS, STATES, Page, board, ids_in
from connector.services.deadlines.finding import Deadline, passing_soon, upcoming
from connector.services.deadlines.warning import warn

__all__ = [
    "ANSWER_CANCELLATION",
    "ANSWER_RETURN",
    "AUTO_CANCEL",
    "IDS",
    "RECALL",
    "SHIP_BY",
    "STATES",
    "Deadline",
    "Page",
    "board",
    "ids_in",
    "passing_soon",
    "upcoming",
    "warn",
]
