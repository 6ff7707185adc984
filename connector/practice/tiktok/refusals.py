"""What the marketplace answers when it refuses: a code, a message, an HTTP status (TTS §3.2-§3.4)."""

from __future__ import annotations

from typing import Any

TOO_MANY_REQUESTS = 36009002
INTERNAL_ERROR = 36009003
BAD_REQUEST = 36009004
GATEWAY_TIMEOUT = 36009007
NO_SUCH_PATH = 36009009
METHOD_NOT_ALLOWED = 36009010
BAD_VERSION = 36009014
BODY_NOT_PARSED = 36009022
SHOP_DEACTIVATED = 36009043
BAD_PARAMETER = 98001004
TOKEN_NOT_OF_CIPHER = 101000
BAD_TOKEN = 105001
TOKEN_EXPIRED = 105002
AUTHORIZATION_INACTIVE = 105003
SCOPE_MISSING = 105005
BAD_SIGNATURE = 106001
CIPHER_MISSING = 106013

REFRESH_TOKEN_REFUSED = 36004001
CODE_REFUSED = 36004004
NO_AUTHORIZATION = 36004005

ORDER_PARAMETER = 11050001
EXTERNAL_ORDER_ID = 36020001
NOT_THIS_SELLER = 21008111
FULFILLMENT_PARAMETER = 21001001
PACKAGE_NOT_FOUND = 21011001
ALREADY_SHIPPED = 21011006
OPEN_AFTERSALE = 21011007
PACKAGE_STATUS = 21011029
NO_SHIPPING_SERVICE = 21011037
ON_HOLD = 21011044
LINES_REQUIRED = 21011048
BATCH_NOT_ALLOWED = 10007014
AFTERSALE_STATUS = 25001001
CANCEL_REASON = 25001021

HTTP_STATUS = {
    TOO_MANY_REQUESTS: 429,
    INTERNAL_ERROR: 500,
    BAD_REQUEST: 400,
    GATEWAY_TIMEOUT: 408,
    NO_SUCH_PATH: 404,
    METHOD_NOT_ALLOWED: 405,
    BAD_VERSION: 400,
    BODY_NOT_PARSED: 400,
    SHOP_DEACTIVATED: 403,
    BAD_PARAMETER: 400,
    ORDER_PARAMETER: 400,
    FULFILLMENT_PARAMETER: 400,
    TOKEN_NOT_OF_CIPHER: 401,
    BAD_TOKEN: 401,
    TOKEN_EXPIRED: 401,
    AUTHORIZATION_INACTIVE: 401,
    SCOPE_MISSING: 403,
    BAD_SIGNATURE: 401,
    CIPHER_MISSING: 400,
}


class Refusal(Exception):
    """Ends a call. `http` defaults to the status of the code, and to 200 for business codes."""

    def __init__(self, code: int, message: str, *, http: int | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http = http if http is not None else HTTP_STATUS.get(code, 200)
        self.headers = headers or {}

    def as_error(self, **detail: Any) -> dict[str, Any]:
        """The same refusal as one entry of a batch answer's `errors`."""
        return {"code": self.code, "message": self.message, "detail": detail}
