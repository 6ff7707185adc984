"""Our error codes in words for people: what happened, and what to do. Remote texts are shown beside these, verbatim."""

from __future__ import annotations

REMEDIES: dict[str, tuple[str, str]] = {
    # transport
    "net.unreachable": (
        "The server cannot be reached",
        "No connection could be made. Check the address and that the server is running; the work is tried again by itself.",
    ),
    "net.certificate": (
        "The server's certificate is not accepted",
        "The TLS certificate is expired, self-signed or for another name. Install a valid certificate on the server.",
    ),
    "net.timeout": (
        "The server did not answer in time",
        "The work is tried again by itself. If it stays, ask the host whether the server is overloaded.",
    ),
    "net.uncertain": (
        "The answer to a change was lost",
        "It may have been carried out. The connector looks it up before doing anything again.",
    ),
    "net.circuit_open": (
        "Calls are paused after many failures",
        "Most recent calls of this account failed. They start again by themselves after a short pause.",
    ),
    "net.forbidden_host": (
        "This account may not call that server",
        "A practice account only calls the practice servers. Check the account's environment and address.",
    ),
    "net.forbidden_request": (
        "A practice account may not ask for that",
        "In practice no payment is captured and no mail is sent. Use a Production account for real business.",
    ),
    "net.unsendable": (
        "The request cannot be sent",
        "The address or a key holds a character that does not belong there, often a line break from copying. Enter it again.",
    ),
    "net.redirected": (
        "The server redirects to another address",
        "Enter the address it redirects to: redirects lose the signature, so they are not followed.",
    ),
    "net.too_large": (
        "The answer is too large",
        "It was not read to its end. A picture of that size has to be made smaller in Magento.",
    ),
    # TikTok Shop
    "tts.token_expired": (
        "The TikTok Shop access token has expired",
        "It is renewed by itself. If this stays, connect the account again.",
    ),
    "tts.token_invalid": (
        "TikTok Shop does not accept the access token",
        "It is renewed by itself. If this stays, connect the account again.",
    ),
    "tts.refresh_refused": (
        "TikTok Shop no longer accepts the refresh token",
        "The seller has to authorise the app again: open the account under TikTok Account and choose Re-authorise.",
    ),
    "tts.auth_code_invalid": (
        "The authorization code was used before or is too old",
        "A code works once and for 30 minutes. Start the connection again.",
    ),
    "tts.not_authorized": (
        "The app has no authorization for this seller",
        "The seller has to authorise the app again: open the account under TikTok Account and choose Re-authorise.",
    ),
    "tts.authorization_inactive": (
        "The authorization is not active or belongs to another region",
        "Connect the account again, with the seller account of the right region.",
    ),
    "tts.scope_missing": (
        "The app lacks a permission on TikTok Shop",
        "Enable the scope in Partner Center, then let the seller authorize the app again.",
    ),
    "tts.signature": (
        "TikTok Shop refused the signature",
        "Check the app secret in Configuration. If it is right, this is a fault of the connector: report the request id.",
    ),
    "tts.clock": (
        "The clock of this machine is off",
        "TikTok Shop accepts requests from 5 minutes behind to 30 seconds ahead. Switch on time synchronisation (NTP).",
    ),
    "tts.app_key": ("TikTok Shop does not know the app key", "Check the app key and secret in Configuration."),
    "tts.cipher_missing": (
        "The shop cipher is missing",
        "Fetch Onboarding Data for the account, which reads it again.",
    ),
    "tts.cipher_unexpected": (
        "A shop cipher was sent where none is expected",
        "This is a fault of the connector: report the request id.",
    ),
    "tts.cipher_foreign": (
        "The access token does not belong to this shop",
        "Fetch Onboarding Data for the account; if this stays, connect it again.",
    ),
    "tts.ip_not_allowed": (
        "TikTok Shop does not allow this machine's address",
        "Add this machine's public address to the app's IP allow-list in Partner Center.",
    ),
    "tts.deactivated": (
        "The shop or the seller is deactivated",
        "TikTok Shop has closed access. The seller has to settle it in Seller Center; work for this account is stopped.",
    ),
    "tts.rate_limited": ("TikTok Shop asks for a slower pace", "Nothing to do: calls are slowed down and repeated."),
    "tts.internal": (
        "TikTok Shop had an internal error",
        "It is tried again by itself. Quote the request id to TikTok support.",
    ),
    "tts.timeout": (
        "TikTok Shop's gateway timed out",
        "It is tried again by itself, after a look-up where something was to change.",
    ),
    "tts.try_again": ("TikTok Shop asks to try again", "It is tried again by itself."),
    "tts.parameter": (
        "TikTok Shop did not accept a value",
        "Read its message: it names the value. Correct it at its source and try again.",
    ),
    "tts.version_unavailable": (
        "TikTok Shop does not offer this version of the call",
        "Choose the other version in Configuration, or update the connector.",
    ),
    "tts.method_not_allowed": ("TikTok Shop does not offer this call", "Update the connector."),
    "tts.request_malformed": (
        "TikTok Shop could not read the request",
        "This is a fault of the connector: report the request id.",
    ),
    "tts.file_too_large": ("The file is too large for TikTok Shop", "Use a smaller file."),
    "tts.page_token_refused": (
        "The list changed while it was read",
        "The time window is read again from its start by itself.",
    ),
    "tts.order_not_found": (
        "TikTok Shop does not know this order for this shop",
        "Check that the order belongs to the connected shop. A new order can take 30 seconds to be readable.",
    ),
    "tts.package_not_found": (
        "The package no longer exists",
        "Packages change by splitting, combining and address changes. Fetch the order again, then ship.",
    ),
    "tts.already_shipped": (
        "The order lines are shipped already",
        "Compare the tracking number on TikTok Shop; if it is the same, nothing is to do.",
    ),
    "tts.aftersale_open": (
        "A line has an open cancellation or return request",
        "Answer the buyer's request first, or ship the other lines.",
    ),
    "tts.package_status": (
        "The package's status does not allow this",
        "Fetch the order again and check its status on TikTok Shop.",
    ),
    "tts.no_shipping_service": (
        "No shipping service is available",
        "Check weight, dimensions and address, or choose another service in Seller Center.",
    ),
    "tts.on_hold": (
        "The order is on hold and cannot be shipped",
        "For about an hour the buyer may cancel freely. It can be shipped once it awaits shipment.",
    ),
    "tts.lines_required": ("The order lines must be named", "Fetch the order again, then ship by its lines."),
    "tts.tracking": (
        "TikTok Shop does not accept the tracking data",
        "Check the tracking number and the shipping provider.",
    ),
    "tts.cancel_status": (
        "The status does not allow this request",
        "Fetch it again: the order may be shipped or cancelled already, or the buyer's request be answered, withdrawn or past its deadline.",
    ),
    "tts.cancel_reason": (
        "The reason does not fit the status",
        "Choose a reason from the list that TikTok Shop offers for this order or request now; the lists change with market and status.",
    ),
    # Magento
    "mag.media_missing": (
        "The store has no such picture",
        "The product names a file that the store's web server does not have. Upload the picture to Magento again.",
    ),
    "mag.media_refused": (
        "The store does not give the picture",
        "Its web server refused the download. Let pictures of the media folder be read without signing in.",
    ),
    "mag.acl_missing": (
        "The Magento integration lacks a permission",
        "In Magento: System, Integrations, edit the integration, tick the named resource under API, save and re-authorize.",
    ),
    "mag.not_authorized": (
        "Magento did not accept the access token",
        "One of three: the token is wrong or revoked; bearer tokens are switched off (Stores, Configuration, Services, OAuth, "
        "Consumer Settings); or the integration lacks the named permission.",
    ),
    "mag.signature": (
        "Magento refused the OAuth signature",
        "Check consumer secret and access token secret. Behind a TLS proxy set the signing base URL to what Magento sees.",
    ),
    "mag.consumer_unknown": (
        "Magento does not know the consumer key",
        "Copy the consumer key from System, Integrations again.",
    ),
    "mag.token_unknown": (
        "Magento does not know the access token",
        "Activate the integration again and copy the four values.",
    ),
    "mag.clock": (
        "The clock of this machine is ahead of Magento's",
        "Switch on time synchronisation (NTP) on both machines.",
    ),
    "mag.nonce_used": ("Magento saw this request before", "It is signed anew and tried again by itself."),
    "mag.oauth": (
        "Magento refused the OAuth request",
        "Check the four values of the integration and that OAuth uses HMAC-SHA256.",
    ),
    "mag.blocked": (
        "Something in front of Magento blocked the call",
        "A firewall, CDN or .htaccess answered 403. Allow this machine's address for /rest.",
    ),
    "mag.maintenance": ("Magento is in maintenance or not available", "It is tried again by itself."),
    "mag.internal": ("Magento had an internal error", "Look in Magento's log for the report id."),
    "mag.route_unknown": (
        "Magento does not offer this call",
        "The module is removed or disabled, or the address is not a Magento store.",
    ),
    "mag.not_found": (
        "Magento does not know this record",
        "It was deleted, or belongs to another store. Fetch it again.",
    ),
    "mag.sku_unknown": ("Magento does not know this SKU", "Create the product in Magento or correct the SKU."),
    "mag.store_code": (
        "Magento does not know the store view",
        "Choose an active store view in the account's settings.",
    ),
    "mag.page_size": ("Magento limits the page size", "Nothing to do: smaller pages are read."),
    "mag.duplicate": ("Magento has a record with this number already", "It is looked up instead of created again."),
    "mag.cart_busy": ("This cart is being placed at the moment", "It is looked up before it is tried again."),
    "mag.product_unavailable": (
        "The product is out of stock or disabled in Magento",
        "Raise its stock, allow backorders or enable it, then retry.",
    ),
    "mag.qty_unavailable": (
        "Magento has not enough stock",
        "Raise the stock or allow backorders for the SKU, then retry.",
    ),
    "mag.stock_unassigned": (
        "The SKU is not assigned to the stock of this website",
        "Assign a source of that stock to the product, then retry.",
    ),
    "mag.source_item": (
        "Magento could not save the stock",
        "It is tried again by itself; if it stays, check that the source exists.",
    ),
    "mag.shipment_not_saved": (
        "Magento could not save the shipment",
        "The source has not enough units, or the stock was busy. It is looked up and tried again; then check the source.",
    ),
    "mag.creditmemo_not_saved": (
        "Magento could not save the credit memo",
        "It is looked up and tried again; then see Magento's error log.",
    ),
    "mag.document": (
        "Magento refuses the document",
        "Read its message: usually everything is invoiced, shipped or refunded already.",
    ),
    "mag.payment_method": (
        "The payment method is not available in Magento",
        "Enable it for the store view, or choose another in the order policy.",
    ),
    "mag.shipping_method": (
        "The shipping method is not available in Magento",
        "Enable the carrier for the store view, or choose another in the order policy.",
    ),
    "mag.address": (
        "Magento does not accept the address",
        "Read its message: it names the field. Correct the address of the order and retry.",
    ),
    "mag.options_required": ("The product needs options", "Use a simple SKU without required custom options."),
    # external storefront
    "sto.token": ("The storefront does not accept the access token", "A new one is asked for by itself. If this stays, check client ID and secret."),
    "sto.client": (
        "The storefront does not know this client",
        "Enter client ID and secret again on the account's page, as the store's administration shows them.",
    ),
    "sto.forbidden": ("The client may not do this in the storefront", "Give the client the orders permission in the store's administration."),
    "sto.sku_unknown": ("The storefront does not sell this SKU", "Add the product to the store, or map the seller SKU to one that it sells."),
    "sto.offline": ("The product is offline in the storefront", "Put the product online in the store, then retry."),
    "sto.out_of_stock": ("The storefront has not enough stock", "Raise the stock in the store, then retry."),
    "sto.rate_limited": ("The storefront is called too often", "Nothing to do: calls are slowed down and repeated."),
    "sto.unavailable": ("The storefront is not available", "It is tried again by itself."),
    "sto.not_found": ("The storefront has no such order", "Open the order and choose Sync Status; the store may have removed it."),
    "sto.changed": ("The order was changed in the storefront meanwhile", "It is read again and the change repeated by itself."),
    "sto.conflict": ("The order's state in the storefront forbids this", "Open the order in the store; a cancelled order cannot be changed any more."),
    "sto.rejected": ("The storefront refused the request", "Read its message: it names the field. Correct the order or the store and retry."),
    "mag.customer_exists": ("A customer with this e-mail exists already", "The existing customer is used."),
}

FALLBACKS: dict[str, tuple[str, str]] = {
    "RateLimited": ("Too many calls", "Nothing to do: calls are slowed down and repeated."),
    "Unavailable": ("The server is not available", "It is tried again by itself."),
    "Unauthorized": ("The server did not accept our authorization", "Connect the account again."),
    "NotFound": ("The record does not exist there", "Fetch it again; it may have been removed."),
    "Conflict": ("It is there or done already", "Fetch it again and compare."),
    "Rejected": ("The request was refused", "Read the server's message, correct the data and try again."),
    "Unexpected": (
        "The server's answer could not be understood",
        "Check the address. If it is right, report this with the request id.",
    ),
    "Uncertain": REMEDIES["net.uncertain"],
    "ApiError": ("The call failed", "Read the message and try again."),
}
