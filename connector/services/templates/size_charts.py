"""The size chart of a template: one picture, uploaded to TikTok when it is chosen (TTS §5.3.7)."""

from __future__ import annotations

from connector.clients.errors import Rejected
from connector.core.db import end_reading
from connector.core.errors import DomainError
from connector.domain import picture
from connector.models.account import Account
from connector.services import connections

USE_CASE = "SIZE_CHART_IMAGE"


def upload(account: Account, content: bytes, file_name: str) -> str:
    """Convert a picture to what TikTok takes and upload it; its uri. Calls TikTok: not inside a transaction."""
    made = picture.convert(content, USE_CASE)
    if isinstance(made, picture.Refused):
        raise DomainError(made.code, f"{file_name}: {made.message}", "Choose another picture.", field="size_chart")
    if not account.connected:
        raise DomainError(
            "template.not_authorised", f"{account.title} is not authorised.", "Authorise the account first, then add the size chart.", field="size_chart"
        )
    client = connections.tiktok(account.id)
    end_reading()
    try:
        return client.upload_image(made.content, file_name="size-chart.jpg", media_type=made.media_type, use_case=USE_CASE).uri
    except Rejected as error:
        raise DomainError(
            "picture.refused", f"TikTok refused the picture {file_name}: {error.remote_message or error}", "Choose another picture.", field="size_chart"
        ) from error
