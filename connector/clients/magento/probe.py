"""The connection check of the wizard and the account page: what works, what is missing, by trying (MAG §1.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connector.clients.errors import ApiError, NotFound, Unauthorized
from connector.clients.magento.catalog import CatalogApi
from connector.clients.magento.customers import CustomersApi
from connector.clients.magento.documents import DocumentsApi
from connector.clients.magento.inventory import InventoryApi
from connector.clients.magento.orders import OrdersApi
from connector.clients.magento.search import SearchCriteria
from connector.clients.magento.store import StoreApi

ONE = SearchCriteria().page(1, 1)

# One read per group of permissions. The writes' permissions (`UNTRIED`) cannot be tried without writing.
READS: tuple[tuple[str, str], ...] = (
    ("products", "products"),
    ("attributes", "products/attributes"),
    ("attribute sets", "products/attribute-sets/sets/list"),
    ("orders", "orders"),
    ("invoices", "invoices"),
    ("shipments", "shipments"),
    ("credit memos", "creditmemos"),
    ("carts", "carts/search"),
    ("customers", "customers/search"),
    ("customer groups", "customerGroups/search"),
    ("tax classes", "taxClasses/search"),
)
STOCK_READS: tuple[tuple[str, str], ...] = (
    ("sources", "inventory/sources"),
    ("stocks", "inventory/stocks"),
    ("stock links", "inventory/stock-source-links"),
    ("source items", "inventory/source-items"),
)
UNTRIED: tuple[str, ...] = tuple(
    f"Magento_Sales::{action}" for action in ("create", "cancel", "hold", "unhold", "comment", "emails", "invoice", "ship", "creditmemo")
) + tuple(f"Magento_InventorySourceSelectionApi::source_selection_algorithm{end}" for end in ("", "_post"))


@dataclass(slots=True)
class ProbeReport:
    """`error` stops everything (address, certificate, authorization); `missing` are ACL resource ids as Magento names them."""

    error: ApiError | None = None
    store_views: list[dict[str, object]] = field(default_factory=list)
    websites: list[dict[str, object]] = field(default_factory=list)
    store_configs: list[dict[str, object]] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    faults: dict[str, ApiError] = field(default_factory=dict)  # by group, other than a missing permission
    msi: bool = False
    clock_skew: float = 0.0  # seconds Magento's clock is ahead of ours
    untried: tuple[str, ...] = UNTRIED

    @property
    def ok(self) -> bool:
        return self.error is None and not self.missing and not self.faults


class ProbeApi(StoreApi, CatalogApi, InventoryApi, OrdersApi, DocumentsApi, CustomersApi):
    def probe(self) -> ProbeReport:
        """Never raises: the report says what was found. About twenty reads."""
        report = ProbeReport()
        try:
            report.modules = self.modules()  # needs no permission of its own: only the authorization itself
        except ApiError as error:
            report.error = error
            return report
        finally:
            report.clock_skew = self.clock_offset
        for name in ("store_views", "websites", "store_configs"):
            self._try(report, name.replace("_", " "), lambda name=name: setattr(report, name, getattr(self, name)()))  # type: ignore[misc]
        self._try(
            report,
            "categories",
            lambda: self._get("probe", "categories", query=[("depth", "1")], read=lambda payload: payload),
        )
        report.msi = self._try(report, "stocks", lambda: self._search("probe", "inventory/stocks", ONE), optional=True)
        for group, path in (*READS, *(STOCK_READS if report.msi else ())):
            self._try(report, group, lambda path=path: self._search("probe", path, ONE))  # type: ignore[misc]
        if report.msi and report.websites:
            code = str(report.websites[0]["code"])
            self._try(report, "stock resolver", lambda: self.stock_for_website(code), optional=True)
        return report

    def _try(self, report: ProbeReport, group: str, call: Callable[[], object], *, optional: bool = False) -> bool:
        """Run one read and note the outcome; whether the route exists. `optional`: a missing route is a fact, not a fault."""
        try:
            call()
        except Unauthorized as error:
            if error.reason != "acl":
                report.error = error
            report.missing += [resource for resource in error.missing or (group,) if resource not in report.missing]
            if not report.granted and error.code == "mag.not_authorized":
                report.error = error  # a refused bearer looks like a missing permission, for every call
        except ApiError as error:
            if not isinstance(error, NotFound):
                report.faults[group] = error
            elif error.code != "mag.route_unknown":
                report.granted.append(group)  # Magento asks for the permission before it looks for the record
            else:
                if not optional:
                    report.faults[group] = error
                return False
        else:
            report.granted.append(group)
            report.error = None
        return True
