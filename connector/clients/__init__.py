"""Clients of the remote systems. requests and the standard library only: no Flask, no database, no queue.

One `Transport` a process and remote system, one light client object an account::

    transport = Transport(before_send=..., record=..., limiter=Limiter(redis), breaker=Breaker(redis), context=...)

    Transport(*, before_send: Callable[[], None] | None = None,    # raises when a database transaction is open
              record: Callable[[CallRecord], None] | None = None,  # one call per attempt; bodies not masked for people
              limiter: Limiter | None = None, breaker: Breaker | None = None,
              context: Callable[[], Mapping[str, object]] | None = None,       # run and item ids for the record
              allowed_hosts: Callable[[str], bool] | re.Pattern[str] | None = None,  # else ForbiddenHost
              timeouts: tuple[float, float] = (3.05, 20.0), pool_size: int = 16, verify: bool | str = True)

Errors (`clients.errors`): `ApiError(message)` with `.system .operation .status .code .remote_code .remote_message .parameters
.request_id .retry_after .transient`; `code` is ours and stable ("tts.token_expired", "mag.acl_missing"), `remote_*` are verbatim.
`Unavailable` > `RateLimited`, `CircuitOpen` | `Unauthorized(.reason, .missing)` | `Rejected` > `NotFound`, `Conflict`,
`PageTokenRefused`, `ForbiddenHost` | `Unexpected` | `Uncertain` (a write whose answer was lost: look it up, then decide).
`describe(error) -> Remedy(code, title, advice)` gives the words for people.

TikTok Shop (`clients.tiktok`)::

    TikTokAuth(transport, *, app_key, app_secret, base_url=AUTH_HOST)
        .token(auth_code) -> TokenGrant                    # access_token, access_token_expires_at, refresh_token,
        .refresh(refresh_token) -> TokenGrant              # refresh_token_expires_at, open_id, seller_name, granted_scopes, ...
    authorization_url(service_id, state, *, region=None, base_url=None) -> str

    TikTokClient(transport, *, app_key, app_secret, token: Callable[[], str],
                 refresh: Callable[[str], object] | None = None,  # gets the refused token; must leave a new one behind `token`
                 shop_cipher: str | None = None, account_key: str = "", base_url=API_HOST,
                 clock_offset: float = 0.0, on_clock_offset: Callable[[float], None] | None = None,
                 versions: Mapping[str, str] | None = None)      # {operation: version} to pin one, e.g. the fallback
        .clock_offset: float; .now() -> datetime                 # the marketplace's time: use it for polling windows
        .authorized_shops() -> list[AuthorizedShop]; .active_shops() -> list[dict]; .permissions() -> list[str]
        .deauthorize() -> None
        .warehouses() -> list[dict]; .delivery_options(warehouse_id, *, scope=None) -> list[dict]
        .shipping_providers(delivery_option_id, *, warehouse_region=None, buyer_region=None) -> list[dict]
        .search_orders(filters=None, *, page_size=100, page_token=None, sort_field="update_time", sort_order="ASC") -> Page
        .iter_order_pages(window: Window, *, page_size=100, filters=None) -> Iterator[Page]     # Page(items, next_page_token, total_count)
        .iter_orders(window: Window, *, page_size=100, filters=None) -> Iterator[dict]          # Window(start, end, field="update_time")
        .get_orders(ids)  -> list[dict]  (<= 50);  .get_all_orders(ids) -> Iterator[dict]  (any number)
        .price_detail(order_id) -> dict
        .put_external_orders(orders: Sequence[dict]) -> BatchResult   # build each with external_order(order_id, external_id, lines)
        .get_external_orders(order_id, *, platform="MAGENTO") -> list[dict]
        .search_external_orders(external_order_id, *, platform="MAGENTO") -> list[dict]
        .search_packages(filters=None, *, page_size=50, page_token=None, sort_field=None, sort_order=None) -> Page
        .package(package_id) -> dict
        .mark_shipped(order_id, *, line_ids, tracking_number, shipping_provider_id) -> MarkedShipped  # Conflict tts.already_shipped
        .ship_package(package_id, *, tracking_number=None, shipping_provider_id=None, handover_method=None, pickup_slot=None) -> None
        .batch_ship(packages: Sequence[dict]) -> BatchResult                             # BatchResult(errors: {id: ItemError}, data)
        .update_order_shipping_info(order_id, *, tracking_number, shipping_provider_id) -> None
        .update_package_shipping_info(package_id, *, tracking_number, shipping_provider_id) -> None
        .shipping_services(order_id, *, line_ids, dimension, weight) -> dict
        .create_package(order_id, *, line_ids=None, shipping_service_id=None, dimension=None, weight=None) -> dict
        .handover_time_slots(package_id) -> dict
        .shipping_document(package_id, *, document_type="SHIPPING_LABEL", document_size=None, document_format=None) -> ShippingDocument
        .order_tracking(order_id) -> list[TrackingEvent]; .split_attributes(order_ids) -> list[dict]
        .aftersale_eligibility(order_id, *, request_types=("CANCEL",), user="SELLER") -> list[dict]
        .cancel_order(order_id, *, cancel_reason, line_ids=None) -> dict                 # {cancel_id, cancel_status}
        .search_cancellations(filters=None, *, page_size=50, page_token=None, ...) -> Page; .iter_cancellations(filters=None) -> Iterator[dict]
        .approve_cancellation(cancel_id, *, idempotency_key) -> None
        .reject_cancellation(cancel_id, *, reject_reason, comment=None, images=(), idempotency_key) -> None
        .reject_reasons(return_or_cancel_id, *, locale=None) -> list[dict]
        .decision_eligibility(return_or_cancel_id, *, check_decisions=(), locale=None) -> list[dict]
        .search_returns(filters=None, *, page_size=50, page_token=None, ...) -> Page; .iter_returns(filters=None) -> Iterator[dict]
        .return_records(return_id, *, locale=None) -> list[dict]          # words and pictures of both sides
        .approve_return(return_id, *, decision, idempotency_key, buyer_keep_item=False, partial_refund=(Decimal, currency) | None) -> None
        .reject_return(return_id, *, decision, reject_reason, idempotency_key, comment=None, images=(), partial_refund=None) -> None
        .create_return(order_id, *, return_type, return_reason, idempotency_key, line_ids=None, refund_total=None, currency=None, ...) -> CreatedReturn
        .calculate_refund(order_id, *, request_type, reason_name, line_ids=None, ...) -> RefundAmount     # currency, total, subtotal, tax, ...
        .upload_return_label(return_ids, *, name, content, media_type="application/pdf", qr_code=False, tracking_number=None, ...) -> None
        .search_aftersales(filters) .search_rma(filters) .review_decision(id) .review_aftersales(kind, decisions, *, idempotency_key) -> dict
        .prerequisites() -> list[Prerequisite]                            # check_item, is_failed, fail_reasons
        .categories(*, version=None, locale=None, keyword=None, listing_platform=None, prohibited=False) -> list[dict]
        .recommend_category(product_title, *, description=None, image_uris=(), version=None, **more) -> Recommendation | None
        .category_attributes(category_id, *, version=None, locale=None) -> list[dict]     # `is_required` filled in, however TikTok spells it
        .category_rules(category_id, *, version=None, locale=None) -> dict
        .brands(*, page_size=100, page_token=None, category_id=None, authorized_only=False, name=None, version=None) -> Page   # `is_usable`
        .iter_brands(**filters) -> Iterator[dict]; .create_brand(name) -> str
        .upload_image(content: bytes, *, file_name, media_type, use_case="MAIN_IMAGE") -> UploadedImage     # uri, url, width, height, use_case
        .check_listing(body) -> ListingCheck                              # passed, refusals: [Refusal(code, message)], warnings, data
        .create_product(body, *, idempotency_key) -> SavedProduct         # product_id, skus: [SavedSku], warnings, data; repeat Uncertain with the key
        .get_product(product_id, *, under_review=False, draft=False, locale=None) -> dict # skus[].price.amount is the shelf price
        .search_products(filters=None, *, page_size=100, page_token=None) -> Page; .iter_products(filters=None, *, page_size=100)
        .products_by_seller_sku(seller_skus) -> Iterator[dict]            # any number, ten a call
        .edit_product(product_id, body) -> SavedProduct; .partial_edit_product(product_id, body) -> SavedProduct
        .activate_products(ids) .deactivate_products(ids) .recover_products(ids) .delete_products(ids) -> BatchResult      # <= 20, by product id
        .update_inventory(product_id, {sku id: {warehouse id: units}}) -> BatchResult     # by SKU id; every warehouse of a SKU
        .search_inventory(*, product_ids=() | sku_ids=()) -> list[dict]   # <= 100 | <= 600;  .iter_inventory(product_ids) -> Iterator[dict]
        .update_prices(product_id, {sku id: {amount, currency}}) -> None  # Conflict tts.product.price_locked while a promotion runs
        .stock_settings(seller_id, sku_ids, *, auto_restock) -> None
        .webhooks() -> list[dict]; .set_webhook(event_type, address) -> None; .remove_webhook(event_type) -> None

    explain(code, message="") -> ProductProblem                           # family, field, title, message, remedy of a product code
    explain_all(code, message, extra) -> list[ProductProblem]             # the causes inside 12052990 too: pass an ItemError's three
    signature.sign(secret, path, query, body, content_type) -> str; signature.verify_webhook(app_key, app_secret, raw_body, header) -> bool

Order payloads are the marketplace's dicts, untouched (amounts are strings there).

Magento (`clients.magento`). Numbers with a fraction arrive as `Decimal`, whole ones as `int`; `Decimal` may be sent in bodies. Ids that
the client returns by itself (cart, order, invoice, shipment, track, credit memo) are strings. `store` is a store view code or "all"::

    normalise_base_url(text) -> str                              # BadBaseUrl (a ValueError) says what to type instead
    MagentoClient(transport, *, base_url, auth: OAuth1 | Bearer, account_key: str = "", signing_base_url=None,
                  clock_offset: float = 0.0, on_clock_offset=None)
    OAuth1(consumer_key, consumer_secret, access_token, access_token_secret); Bearer(access_token)
        .probe() -> ProbeReport
        .store_views() -> list[dict]; .websites(); .store_groups(); .store_configs(codes=()); .currency(*, store=None) -> dict
        .country(country_id, *, store=None) -> dict; .modules() -> list[str]
        .products(criteria, *, store="all") -> SearchResult; .iter_products(criteria=SearchCriteria(), *, store="all", page_size=100)
        .products_by_sku(skus, *, store="all", fields=None) -> list[dict]
        .product(sku, *, store="all") -> dict; .create_product(product: dict) -> dict
        .product_media(sku); .children(sku); .attributes(criteria) -> SearchResult; .attribute(code); .attribute_sets(criteria) -> SearchResult
        .categories() -> dict; .base_prices(skus) -> list[dict]
        .sources() -> list[dict]; .stocks() -> list[dict]; .stock_source_links(); .stock_for_website(website_code) -> dict
        .source_items(skus) -> list[dict]; .save_source_items(items) -> None; .stock_item(sku) -> dict
        .salable_quantities(skus, *, website_code) -> dict[str, Salable]   # Salable(sku, quantity: Decimal | None = unlimited, is_salable)
        .salable_quantity(sku, stock_id) -> Decimal
        .source_selection(stock_id, items: {sku: qty}, *, algorithm="priority") -> dict
        .create_cart(*, store) -> str
        .add_item(cart_id, sku, qty, *, store) -> dict
        .estimate_shipping(cart_id, address, *, store) -> list[dict]
        .shipping_information(cart_id, *, shipping_address, billing_address, carrier_code, method_code, store) -> dict
        .billing_address(cart_id, address, *, store) -> None
        .place_order(cart_id, *, method="checkmo", po_number=None, store) -> str      # entity id
        .cart(cart_id, *, store) -> dict; .cart_items(cart_id, *, store) -> list[dict]
        .find_orders(*, ext_order_id=None, quote_id=None, increment_id=None, fields=None) -> list[dict]
        .order(entity_id) -> dict; .orders(criteria) -> SearchResult; .iter_orders(*, after="0", criteria=..., page_size=100)
        .correct_order(entity: dict, *, store=None) -> dict          # partial save; needs entity_id and increment_id
        .create_order_direct(entity: dict, *, store=None) -> dict
        .comment(order_id, text, *, status, visible=False) -> None; .comments(order_id) -> list[dict]
        .cancel(order_id) -> bool; .hold(order_id) -> None; .unhold(order_id) -> None; .update_address(order_id, address) -> dict
        .invoice(order_id, *, items=None, comment=None, capture=True) -> str          # items: {order_item_id: qty}
        .ship(order_id, *, items, tracks=(), source_code=None, comment=None) -> str
        .add_track(*, order_id, shipment_id, track_number, title, carrier_code) -> str; .delete_track(track_id) -> bool
        .refund(order_id, *, items, shipping_amount, adjustment_positive=0, adjustment_negative=0, return_to_stock=(), comment=None) -> str
        .invoices_of(order_id) .shipments_of(order_id) .creditmemos_of(order_id) -> list[dict]
        .iter_shipments(after) .iter_creditmemos(after) -> Iterator[dict]   # entity_id above `after`
        .get_invoice(id) .get_shipment(id) .get_creditmemo(id) -> dict
        .search_customers(email, *, website_id=None) -> list[dict]; .create_customer(customer) -> dict

    SearchCriteria().where(field, condition, value).any_of((field, condition, value), ...).order_by(field, "ASC").page(1, 100).only(fields)

An external storefront (`clients.storefront`; S4). Fractions arrive as `Decimal` or as the strings that the store sent; `Decimal` may be sent::

    StorefrontClient(transport, *, base_url, client_id, client_secret, account_key: str = "", tokens: TokenCache | None = None)
        .environment() -> dict                                       # environment, storefrontProtection, paymentCapture, confirmationEmails
        .create_external_order(body) -> Created(order_no, status, created)    # the same externalOrderId again: the same order, created False
        .get_order(order_no) -> Versioned(order, etag); .find_by_external_id(external_order_id) -> dict | None
        .orders_modified_since(since: datetime) -> Iterator[dict]
        .patch_order(order_no, changes, *, etag) -> Versioned        # Conflict sto.changed (read again) or sto.conflict (forbidden by its state)
"""
