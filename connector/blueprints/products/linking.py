"""Product Linking (A178): reading what stands on TikTok, Assign Products, choosing by hand, a CSV file, unlinking. Nothing is synchronised before."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, make_response, render_template, request, url_for
from flask_login import current_user
from flask_wtf.file import FileField
from markupsafe import Markup
from sqlalchemy import and_, or_, select
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SelectField

from connector.blueprints.products.forms import AssignForm
from connector.blueprints.products.scope import view
from connector.blueprints.products.views import bp
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids import Column
from connector.grids.export import csv_cell
from connector.grids.linking import linking_grid
from connector.models.account import Account
from connector.models.listing import Listing, ListingSku, TikTokProduct
from connector.models.product import Product
from connector.models.run import JobRun
from connector.services import runs
from connector.services.products import kept_files, link_file, linking
from connector.services.products.matching import SELLABLE
from connector.web.auth import requires
from connector.web.cells import badge
from connector.web.forms import Form, render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

Row = Mapping[str, Any]
_FOUND = 25


class LinkForm(AssignForm):
    """The listing template that linked products go into; none is needed."""

    template = SelectField(
        "Listing template",
        coerce=str,
        default="",
        description="Without one its stock may only fall with that of Magento; nothing rises and nothing else is sent.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template.choices = {"": "No template: the listing keeps its own details"} | {key: name for key, name in self.template.choices.items() if key}


class LinkFileForm(Form):
    """Links from a file."""

    file = FileField("CSV file", description="Columns: tiktok_product_id or seller_sku, and magento_sku. At most 2 MB and 20,000 lines.")


# --- the grid -------------------------------------------------------------------------------------------------------------------------------


def _row_url(row: Row) -> str:
    here = view()
    return f"/products/linking/{row['pk']}?{urlencode({'account': here.account_id if here else ''})}"


def tiktok_title(value: str, row: Row, column: Column) -> Markup:
    return Markup('<a class="product-name" href="{}" title="{}" data-open>{}</a>').format(_row_url(row), value, value or "(no title)")


def seller_skus(value: str, row: Row, column: Column) -> Any:
    named = [each for each in (value or "").split("\n") if each]
    if not named:
        return Markup('<span class="text-secondary">none</span>')
    more = f" +{len(named) - 2}" if len(named) > 2 else ""
    return Markup('<code title="{}">{}</code>{}').format(", ".join(named), ", ".join(named[:2]), more)


def _product_link(product_id: int | None, sku: str, name: str) -> Any:
    here = view()
    if product_id is None:
        return ""
    return Markup('<a href="{}" title="{}"><code>{}</code></a>').format(
        url_for("products.product", product_id=product_id, account=here.account_id if here else None), name, sku
    )


def magento_product(value: str | None, row: Row, column: Column) -> Any:
    """The linked product, else the suggested one."""
    if row["linked_as"] is not None:
        return _product_link(row["linked_id"], row["linked_sku"] or "", row["linked_name"] or "")
    return _product_link(row["suggested_id"], value or "", row["suggested_name"] or "")


def suggestion(value: str, row: Row, column: Column) -> Any:
    return badge("Linked", "success") if row["linked_as"] is not None else badge(*column.label_of(value or ""))


def _beside_the_grid() -> dict[str, Any]:
    here = view()
    if here is None:
        return {"account": None}
    kinds = (JobRun.kind.in_(("products.read_listings", "products.link")), JobRun.account_id == here.account_id)
    last = db.session.scalar(select(JobRun).where(*kinds).order_by(JobRun.id.desc()).limit(1))
    return {
        "account": db.session.get(Account, here.account_id),
        "figures": linking.figures(here.account_id),
        "run": last,
        "read_at": db.session.scalar(
            select(TikTokProduct.read_at).where(TikTokProduct.account_id == here.account_id).order_by(TikTokProduct.read_at.desc()).limit(1)
        ),
    }


LINKING = linking_grid(LinkForm, _row_url)
grid_routes(
    bp, LINKING, "products/linking.html", scope=view, context=_beside_the_grid, rule="/linking", name="linking",
    cells={each.__name__: each for each in (tiktok_title, seller_skus, magento_product, suggestion)},
)  # fmt: skip


# --- reading and assigning ------------------------------------------------------------------------------------------------------------------


def _account() -> Account:
    """The account of the address, else the one in view; 404 without any."""
    asked = request.args.get("account", "")
    here = view()
    found = db.session.get(Account, int(asked) if asked.isdigit() else here.account_id if here else 0)
    if found is None:
        abort(404)
    return found


def _back(account: Account, **values: Any) -> str:
    return url_for("products.linking", account=account.id, **values)


@bp.post("/linking/read")
@requires("products.write")
def read_listings() -> AnyResponse:
    """Initiate Import: fetch the shop's products."""
    account = _account()
    if not (account.active and account.connected):
        toast(f"The account {account.title} is {'not authorised' if account.active else 'disabled'}. See TikTok Account.", "warning")
        return go_to(_back(account))
    submitted = runs.submit("products.read_listings", account_id=account.id, key=f"products.read_listings:{account.id}", started_by=current_user.email)
    toast("The import is already running." if submitted.existing else "Import started. The products appear while it runs.")
    return go_to(_back(account))


@bp.post("/linking/suggest")
@requires("products.write")
def suggest_again() -> AnyResponse:
    """Work the suggestions out anew: Magento's catalogue may have changed."""
    account = _account()
    toast(linking.suggest_again(account.id).sentence())
    return go_to(_back(account))


@bp.route("/linking/assign", methods=["GET", "POST"])
@requires("products.write")
def assign_suggested() -> AnyResponse | Response:
    """Assign Products: the final step for everything whose suggestion is sure."""
    account = _account()
    form = LinkForm()
    if form.validate_on_submit():
        with form.catching():
            submitted = linking.submit_suggested(account.id, started_by=current_user.email, template_id=int(form.template.data) if form.template.data else None)
            return go_to(url_for("queue.run", run_id=submitted.run_id))
    return render_form("products/linking_assign.html", form=form, account=account, figures=linking.figures(account.id))


# --- by hand --------------------------------------------------------------------------------------------------------------------------------


@bp.get("/linking/<int:row_id>")
@requires("products.read")
def link_by_hand(row_id: int) -> Response:
    """One TikTok product: search its Magento product, and see what would fit."""
    return _by_hand(_row(row_id))


@bp.post("/linking/<int:row_id>")
@requires("products.write")
def link_chosen(row_id: int) -> AnyResponse:
    """Link it with the chosen Magento product."""
    row = _row(row_id)
    account = db.session.get_one(Account, row.account_id)
    chosen, template = request.form.get("product", ""), request.form.get("template", "")
    offered = {each["product"].id: each for each in _candidates(row, account, request.args.get("q", ""))}
    found = offered.get(int(chosen) if chosen.isdigit() else 0)
    if found is None or found["conflict"]:
        return _by_hand(row, DomainError("link.choice", found["conflict"] if found else "No Magento product was chosen.", "Choose one of the list."))
    done = linking.submit(account.id, [(row.id, int(chosen))], started_by=current_user.email, template_id=int(template) if template.isdigit() else None)
    return go_to(url_for("queue.run", run_id=done.run_id))


def _row(row_id: int) -> TikTokProduct:
    row = db.session.get(TikTokProduct, row_id, populate_existing=True)
    if row is None:
        abort(404)
    return row


def _by_hand(row: TikTokProduct, problem: DomainError | None = None) -> Response:
    account, words = db.session.get_one(Account, row.account_id), request.args.get("q", "")
    page = render_template(
        "products/link_by_hand.html", row=row, account=account, words=words, problem=problem, form=LinkForm(formdata=None),
        candidates=_candidates(row, account, words), skus=[each for each in row.seller_skus.split("\n") if each],
        linked=db.session.get(Listing, row.listing_id) if row.listing_id else None,
    )  # fmt: skip
    return make_response(page, 422 if problem else 200)


def _candidates(row: TikTokProduct, account: Account, words: str) -> list[dict[str, Any]]:
    """Magento products by name or SKU (without words: by the seller SKUs, and the suggested one), with how many SKUs fit and what is in the way."""
    mine = and_(Product.magento_id == account.magento_id, Product.gone_at.is_(None), Product.type_id.in_((*SELLABLE, "configurable")))
    keys = [each.casefold() for each in row.seller_skus.split("\n") if each][:100]
    words = words.strip()
    if words:
        asked = or_(Product.sku.icontains(words, autoescape=True), Product.name.icontains(words, autoescape=True))
    else:
        asked = or_(Product.id == (row.suggested_product_id or 0), Product.sku_key.in_(keys))
    found = list(
        db.session.scalars(
            select(Product).where(mine, asked).order_by((Product.id != (row.suggested_product_id or 0)), Product.is_child, Product.sku).limit(_FOUND)
        )
    )
    children = {entity for product in found for entity in product.child_ids or ()}
    by_entity = dict(
        db.session.execute(select(Product.entity_id, Product.sku_key).where(Product.magento_id == account.magento_id, Product.entity_id.in_(children))).all()
    )
    query = select(Listing.product_id, Listing.tiktok_id).where(
        Listing.account_id == account.id, Listing.product_id.in_([each.id for each in found]), Listing.tiktok_id.is_not(None)
    )
    taken = dict(db.session.execute(query).all())
    elsewhere = _elsewhere(account, [each.id for each in found])
    answer = []
    for product in found:
        own = {by_entity.get(entity, "") for entity in product.child_ids or ()} if product.type_id == "configurable" else {product.sku_key}
        other = taken.get(product.id)
        conflict = f"{product.sku} is linked to the TikTok product {other} already. Unlink that one first." if other and other != row.tiktok_id else ""
        if not conflict and product.id in elsewhere:
            conflict = (
                f"{product.sku} is a variant of the listing {elsewhere[product.id]}. Unlink {elsewhere[product.id]} or take it out of its template first."
            )
        answer.append({"product": product, "fits": len(own & set(keys)), "variants": len(own), "conflict": conflict, "other": other})
    return answer


def _elsewhere(account: Account, product_ids: list[int]) -> dict[int, str]:
    """Products that are variants of another product's listing in the account: that one's SKU."""
    query = (
        select(ListingSku.product_id, Product.sku)
        .join(Listing, Listing.id == ListingSku.listing_id)
        .join(Product, Product.id == Listing.product_id)
        .where(ListingSku.account_id == account.id, ListingSku.product_id.in_(product_ids), Listing.product_id != ListingSku.product_id)
    )
    return dict(db.session.execute(query).all())


# --- by file --------------------------------------------------------------------------------------------------------------------------------


@bp.route("/linking/file", methods=["GET", "POST"])
@requires("products.write")
def linking_file() -> AnyResponse | Response:
    """A file is read and every line judged; the accepted lines are linked when that is confirmed."""
    account, form = _account(), LinkFileForm()
    parsed, kept = None, ""
    template = LinkForm(formdata=None) if request.method == "GET" else LinkForm()
    if request.method == "POST" and (kept := request.form.get("kept", "")):
        with form.catching():
            parsed = link_file.read(kept_files.read(kept), account.id)
            submitted = link_file.submit(parsed, started_by=current_user.email, template_id=int(template.template.data) if template.template.data else None)
            kept_files.forget(kept)
            return go_to(url_for("queue.run", run_id=submitted.run_id))
    elif form.validate_on_submit():
        with form.catching():
            upload: FileStorage | None = form.file.data
            if not upload or not upload.filename:
                raise DomainError("csv.none", "No file was chosen.", "Choose a CSV file.", field="file")
            data = upload.stream.read(link_file.MAX_BYTES + 1)
            parsed = link_file.read(data, account.id)
            kept = kept_files.keep(data) if parsed.accepted else ""
    return render_form("products/link_file.html", form=form, template=template, account=account, parsed=parsed, kept=kept)


@bp.get("/linking/example.csv")
@requires("products.read")
def linking_example() -> Response:
    """A file to fill in: a line for every SKU of the TikTok products that are not linked, the suggestion filled in."""
    account = _account()
    query = (
        select(TikTokProduct.tiktok_id, TikTokProduct.seller_skus, TikTokProduct.title, TikTokProduct.suggestion)
        .where(TikTokProduct.account_id == account.id, TikTokProduct.listing_id.is_(None))
        .order_by(TikTokProduct.id)
        .limit(link_file.MAX_LINES)
    )
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow([*link_file.COLUMNS, "title"])
    for row in db.session.execute(query):
        for sku in row.seller_skus.split("\n"):
            writer.writerow([f'="{row.tiktok_id}"', csv_cell(sku), csv_cell(sku if row.suggestion in ("exact", "case") else ""), csv_cell(row.title)])
    response = make_response(out.getvalue())
    response.mimetype = "text/csv"
    response.headers["Content-Disposition"] = 'attachment; filename="link-products.csv"'
    return response
