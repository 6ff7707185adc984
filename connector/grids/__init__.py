"""Grids: one machine (``grid.py``, ``filters.py``, ``state.py``, ``query.py``, ``export.py``) and small declarations.

A grid is one declaration, one route and one template. The declaration goes into ``connector/grids/<name>.py``::

    ORDERS = Grid(
        key="orders", title="Orders", noun="order", permission="orders.read",
        model=Order, pk=Order.id,
        where=lambda scope: [Order.account_id.in_(scope.account_ids)] if scope else [],
        joins=(Join(Account, Account.id == Order.account_id),),      # only joined when something looks at it
        columns=(
            Column(key="number", label="TikTok order", expr=Order.tiktok_id, cell="link"),
            Column(key="account", label="Account", expr=Account.title),
            Column(key="state", label="Status", expr=Order.state, cell="state", labels={"failed": Label("Failed", "danger")}),
            Column(key="total", label="Grand total", expr=Order.total, cell="money", align="end", also={"currency": Order.currency}),
            Column(key="placed_at", label="Placed", expr=Order.placed_at, cell="when"),
            Column(key="ship_by", label="Ship by", expr=Order.ship_by, cell="deadline", default=False),
        ),
        filters=(Choices("account", "Account", Order.account_id, account_choices, pinned=True),   # the "Account View" of A180
                 Choices("state", "Status", Order.state, ORDER_LABELS), DateRange("placed", "Placed", Order.placed_at),
                 NumberRange("total", "Total", Order.total), Flag("attention", "Needs attention", Order.error_code.is_not(None))),
        tabs=(Tab("all", "All"), Tab("failed", "Failed", Order.state == "failed", "danger")),
        search=(Order.tiktok_id, Order.magento_number), search_hint="TikTok or Magento order number",
        default_sort="-placed_at",
        actions=(Action(key="ship", label="Mark as shipped", icon="truck-delivery", permission="orders.write",
                        preview=shipping.preview,     # ids -> [Preview(id, "5768", ok=False, reason="already shipped"), ...]
                        submit=lambda ids, form: Result(f"Shipping {len(ids)} orders", run_id=submit("orders.ship", order_ids=ids).id)),),
        row_url=lambda row: f"/orders/{row['pk']}",
        events=("orders:changed",),
        empty=Empty("No orders yet", "Orders appear here after the first import.", "Import orders", "orders.import_form"),
    )

and the route into ``connector/blueprints/orders/views.py``::

    bp = Blueprint("orders", __name__, url_prefix="/orders")
    grid_routes(bp, ORDERS, "orders/index.html", scope=current_scope)     # from connector.web.grids

which makes ``orders.index`` (GET, page or htmx partial), ``orders.bulk`` (POST, confirm page, then the work) and ``orders.export`` (CSV).
A second grid in the same blueprint takes ``name="runs", rule="/runs"``: ``queue.runs``, ``queue.runs_bulk``, ``queue.runs_export``.
Extra template variables come from ``context=lambda: {...}``. The template::

    {% extends "layouts/grid.html" %}
    {% from "components/button.html" import link_button %}
    {% block actions %}{{ link_button("Import orders", url_for("orders.import_form"), icon="download", tone="primary") }}{% endblock %}

Things to know:

* Rows are mappings: ``row["total"]`` by column key, ``row["pk"]``, every name of ``also`` and ``always``. No entities, no lazy loading.
* ``cell`` is a shared cell of ``connector/web/cells.py`` (text, link, mono, number, money, when, date, deadline, state, yes_no,
  ago, duration, json_list, long_text, secret), a function that the blueprint hands to ``grid_routes(..., cells={...})`` (orders), or, where
  rows are few, a macro in the grid's own ``cells="accounts/_cells.html"``; all are called as ``cell(value, row, column)``.
  A "link" cell leads to ``row_url``.
* ``where(scope)`` must depend on ``scope`` alone, and ``scope`` must tell itself apart by its ``repr``: counts are remembered by it for 15 seconds.
* A join may be to ``aliased(Thing)``; it must be many-to-one. ``on`` may be ``on(scope) -> clause``; an action that must know the scope is ``scoped=True``.
* Sort columns and filter columns want an index that ends with the primary key: ``Index("ix_order_placed", "placed_at", "id")``.
* ``search`` may be ``search(stmt, q) -> stmt`` where a full-text index does the work.
* A multi-column rule is ``Choices("shipment", "Shipment", lambda values: clause_for(values), {...})``.
* Reads only. Actions call services; services decide.
"""

from connector.grids.filters import Choices, DateRange, Filter, Flag, NumberRange, Text
from connector.grids.grid import Action, Column, Empty, Grid, Join, Label, Preview, Result, Tab
from connector.grids.query import Page, run
from connector.grids.state import GridState

__all__ = [
    "Action",
    "Choices",
    "Column",
    "DateRange",
    "Empty",
    "Filter",
    "Flag",
    "Grid",
    "GridState",
    "Join",
    "Label",
    "NumberRange",
    "Page",
    "Preview",
    "Result",
    "Tab",
    "Text",
    "run",
]
