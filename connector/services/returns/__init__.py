"""Returns and refunds (A213-A220; product.md 9): importing, answering, goods that come back, credit memos in both directions."""

from connector.services.returns import goods
from connector.services.returns.answering import answer_one, settle, submit
from connector.services.returns.deciding import ReturnPreview, decisions, preview, records
from connector.services.returns.importing import get, import_account, mark, read_one, snapshot_of

__all__ = [
    "ReturnPreview", "answer_one", "decisions", "get", "goods", "import_account", "mark", "preview", "read_one", "records", "settle", "snapshot_of", "submit",
]  # fmt: skip
