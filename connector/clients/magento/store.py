"""Stores, directory and modules (MAG §4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from connector.clients.magento.caller import Caller, Row, rows, segment


class StoreApi(Caller):
    """Lists leave out the admin entry, id 0, which is no real store."""

    def store_views(self) -> list[Row]:
        """{id, code, name, website_id, store_group_id, is_active}"""
        return self._get("store_views", "store/storeViews", read=_real)

    def websites(self) -> list[Row]:
        """{id, code, name, default_group_id}"""
        return self._get("websites", "store/websites", read=_real)

    def store_groups(self) -> list[Row]:
        """{id, website_id, root_category_id, default_store_id, name, code}"""
        return self._get("store_groups", "store/storeGroups", read=_real)

    def store_configs(self, codes: Sequence[str] = ()) -> list[Row]:
        """{id, code, website_id, locale, base_currency_code, timezone, weight_unit, secure_base_url, secure_base_media_url, ...}"""
        query = [(f"storeCodes[{number}]", code) for number, code in enumerate(codes)]
        return self._get("store_configs", "store/storeConfigs", query=query, read=rows)

    def currency(self, *, store: str | None = None) -> Row:
        """{base_currency_code, default_display_currency_code, available_currency_codes, exchange_rates: [{currency_to, rate}]}"""
        return self._get("currency", "directory/currency", store=store, read=dict)

    def country(self, country_id: str, *, store: str | None = None) -> Row:
        return self._get("country", f"directory/countries/{segment(country_id)}", store=store, read=dict)

    def modules(self) -> list[str]:
        return self._get("modules", "modules", read=lambda payload: [str(name) for name in payload])


def _real(payload: object) -> list[Row]:
    return [row for row in rows(payload) if int(row["id"]) != 0]
