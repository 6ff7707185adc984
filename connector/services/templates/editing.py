"""Listing templates: created, saved, deleted, switched, given other policies (A139-A144)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select, update

from connector.clients.errors import ApiError
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain.policies import IMAGE
from connector.domain.query import Query
from connector.models.listing import LIVE, NOT_UPLOADED, Listing, ListingTemplate
from connector.models.policy import Policy
from connector.services import events
from connector.services.attributes import fetch, mapping
from connector.services.products import due
from connector.services.templates.filling import LABELS, POLICY_FIELDS, Draft, TemplateErrors, checked, policy_fault


class Products(NamedTuple):
    """A template's products (A150-A152): all, active on TikTok, not active; and how many stand on TikTok in any state."""

    total: int = 0
    active: int = 0
    inactive: int = 0
    on_tiktok: int = 0


def get(template_id: int) -> ListingTemplate:
    template = db.session.get(ListingTemplate, template_id)
    if template is None:
        raise NotFoundError(
            "template.unknown", f"There is no listing template {template_id}.", "It may have been deleted; open Listing Templates for the present ones."
        )
    return template


def create(draft: Draft, *, actor: str) -> ListingTemplate:
    """A new template, enabled unless the draft says otherwise (A139, A148). What is known of its category is fetched by ``learn_category``."""
    with unit_of_work() as session:
        values = checked(draft, None)
        template = ListingTemplate(**values)
        session.add(template)
        session.flush()
        events.record(
            "template.created", "template", template.id, f"{template.name} was created.", account_id=draft.account_id, after=_shown(template), actor=actor
        )
        return template


def save(template_id: int, draft: Draft, *, actor: str, seen_version: int | None = None) -> ListingTemplate:
    """Save a template (A141). ``seen_version``: the one the form was opened with; what somebody else saved since is not overwritten.

    Its listings are evaluated anew when something changed that concerns what is sent; a changed query takes effect when products are assigned.
    """
    with unit_of_work() as session:
        template = get(template_id)
        session.refresh(template)
        if seen_version is not None and template.version != seen_version:
            raise DomainError(
                "template.changed_meanwhile",
                f"{template.name} was saved by somebody else since you opened it (version {template.version}; you had {seen_version}).",
                "Open the template in another window to compare, then save again to put yours on top.",
            )
        if draft.account_id != template.account_id:
            raise TemplateErrors({"account_id": "A template cannot move to another account. Create one there instead."})
        before = _shown(template)
        for name, value in checked(draft, template).items():
            setattr(template, name, value)
        after = _shown(template)
        changed = {name for name in after if after[name] != before[name]}
        if not changed:
            return template
        template.version += 1
        template.updated_at = utcnow()
        session.flush()
        events.record(
            "template.saved",
            "template",
            template.id,
            f"{template.name} was saved: {', '.join(LABELS[name].lower() for name in after if name in changed)}.",
            account_id=template.account_id,
            before={name: before[name] for name in sorted(changed)},
            after={name: after[name] for name in sorted(changed)},
            actor=actor,
        )
        if changed - {"name", "priority", "query"}:
            due.mark(reason=f"Template {template.name} was saved", content=True, template_ids=[template.id])
        return template


def learn_category(template_id: int, *, actor: str) -> str:
    """After a template was saved: fetch its category's attributes and rules if they are not there, attach the mappings that fit.

    Calls TikTok: not inside a transaction. The template is saved all the same while the shop is away: a run fetches them later. What happened, in words.
    """
    template = get(template_id)
    account_id, category_id = template.account_id, template.category_id
    connected, title = template.account.connected, template.account.title
    end_reading()
    said = ""
    try:
        if not connected:
            raise DomainError("template.not_authorised", f"{title} is not authorised.", "Authorise the account; the work goes on by itself then.")
        fetch.ensure(account_id, [category_id])
    except (ApiError, DomainError) as error:
        fetch.submit_refetch(account_id, [category_id], started_by=actor)
        said = f"The attributes of its category could not be fetched now and are fetched later: {error}"
    attached = mapping.attach_matching(get(template_id))
    if attached and not said:
        said = f"{attached} attribute {'mapping' if attached == 1 else 'mappings'} of this category {'was' if attached == 1 else 'were'} attached."
    return said


def delete(template_ids: Collection[int], *, actor: str) -> int:
    """Delete templates (A143). Their products stay on TikTok and in the products grid, without a template; how many products that concerns."""
    count = 0
    with unit_of_work() as session:
        for template in _load(template_ids):
            found = products_of([template.id]).get(template.id, Products())
            count += found.total
            freed = update(Listing).where(Listing.template_id == template.id)
            session.execute(
                freed.values(template_id=None, assigned_by="query", unmatched_at=None, validation="unchecked"), execution_options={"synchronize_session": False}
            )
            events.record(
                "template.deleted",
                "template",
                template.id,
                f"{template.name} was deleted; {_products(found.total)} lost their template, {found.active} of them active on TikTok.",
                account_id=template.account_id,
                before=_shown(template),
                actor=actor,
            )
            session.delete(template)
        session.flush()
    return count


def set_status(template_ids: Collection[int], enabled: bool, *, actor: str) -> int:
    """Enable or disable (A144, A148); how many changed. A disabled template takes no products, and its own are neither uploaded nor acted upon."""
    with unit_of_work() as session:
        changed = [template for template in _load(template_ids) if template.enabled != enabled]
        for template in changed:
            template.enabled, template.version, template.updated_at = enabled, template.version + 1, utcnow()
            word = "enabled" if enabled else "disabled"
            events.record(
                f"template.{word}",
                "template",
                template.id,
                f"{template.name} was {word}.",
                account_id=template.account_id,
                before={"enabled": not enabled},
                after={"enabled": enabled},
                actor=actor,
            )
        session.flush()
        if changed:
            due.mark(reason=f"Template {'enabled' if enabled else 'disabled'}", content=True, template_ids=[template.id for template in changed])
        return len(changed)


def set_policies(template_ids: Collection[int], chosen: Mapping[str, int | None], *, actor: str) -> int:
    """Give templates other policies (A142): ``chosen`` by field, None or absent: that one stays. How many templates changed."""
    wanted = {name: value for name, value in chosen.items() if value is not None}
    if not wanted:
        raise DomainError("template.no_policy_chosen", "No policy was chosen.", "Choose at least one policy to change.")
    with unit_of_work() as session:
        errors = {name: message for name, value in wanted.items() if (message := policy_fault(name, value))}
        if errors:
            raise TemplateErrors(errors)
        changed = []
        for template in _load(template_ids):
            before = {name: getattr(template, name) for name in wanted if getattr(template, name) != wanted[name]}
            if not before:
                continue
            for name in before:
                setattr(template, name, wanted[name])
            template.version, template.updated_at = template.version + 1, utcnow()
            changed.append(template.id)
            words = ", ".join(f"{LABELS[name].lower()} {_policy_title(wanted[name])}" for name in before)
            events.record(
                "template.policies",
                "template",
                template.id,
                f"{template.name} now has {words}.",
                account_id=template.account_id,
                before={name: _policy_title(value) for name, value in before.items()},
                after={name: _policy_title(wanted[name]) for name in before},
                actor=actor,
            )
        session.flush()
        if changed:
            due.mark(reason="The template's policies were changed", content=IMAGE in {POLICY_FIELDS[name] for name in wanted}, template_ids=changed)
        return len(changed)


# --- what templates hold


def products_of(template_ids: Collection[int]) -> dict[int, Products]:
    """The number of products of each template that has any, in one query."""
    live = Listing.marketplace_state == LIVE
    query = select(
        Listing.template_id,
        func.count(),
        func.count().filter(live),
        func.count().filter(~live),
        func.count().filter(or_(Listing.tiktok_id.is_not(None), Listing.marketplace_state != NOT_UPLOADED)),
    )
    rows = db.session.execute(query.where(Listing.template_id.in_(list(template_ids))).group_by(Listing.template_id))
    return {row[0]: Products(*row[1:]) for row in rows}


def _policy_title(policy_id: int) -> str:
    return db.session.scalar(select(Policy.title).where(Policy.id == policy_id)) or str(policy_id)


def _load(template_ids: Collection[int]) -> list[ListingTemplate]:
    return list(db.session.scalars(select(ListingTemplate).where(ListingTemplate.id.in_(list(template_ids))).order_by(ListingTemplate.id)))


def _shown(template: ListingTemplate) -> dict[str, Any]:
    """What events say of a template."""
    return {
        "name": template.name,
        "enabled": template.enabled,
        "priority": template.priority,
        "category": f"{template.category_path} ({template.category_id})",
        **{name: _policy_title(getattr(template, name)) for name in POLICY_FIELDS},
        "query": Query.model_validate(template.query or {}).words(),
        "options": template.options or {},
    }


def _products(count: int) -> str:
    return f"{count:,} {'product' if count == 1 else 'products'}"
