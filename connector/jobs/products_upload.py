"""Job bodies of what happens to products on TikTok: upload, change status, status sync, reading and linking. Thin; they call services."""

from __future__ import annotations

from connector.core.db import end_reading
from connector.core.errors import DomainError
from connector.jobs.context import MAX_ATTEMPTS, Item, Later
from connector.jobs.runtime import JobContext, job
from connector.services import connections
from connector.services.products import change_status, linking, prerequisites, status_sync, upload

#: Products in the air at once: TikTok takes 1 to 3 writes a second of a shop (TTS §3.5).
PARALLEL = 3


@job("products.upload")
def upload_products(ctx: JobContext) -> None:
    """The items (our listing ids). ``args``: seen ({listing id: fingerprint of the preview that a person confirmed})."""
    account_id = _account_of(ctx)
    ctx.progress(stage="Asking whether the shop is ready to list", force=True)
    failed = prerequisites.read(account_id)
    shared = upload.Uploads(blocked=prerequisites.blocking(failed))
    upload.work_out([int(ref) for ref in ctx.open_refs()])
    ctx.progress(stage="Uploading", force=True)

    def one(item: Item) -> str:
        try:
            return upload.upload_one(
                int(item.ref),
                seen_fingerprint=upload.seen_of(ctx.args, item.ref),
                stage=lambda words: ctx.stage(item.ref, words),
                shared=shared,
                last_try=item.attempts + 1 >= MAX_ATTEMPTS,
            )
        except upload.Waits as waits:
            raise Later(waits.code, waits.message, waits.remedy, waits.seconds) from waits

    if failed:
        ctx.finish(" ".join(f"The shop's check {one.words()}." for one in failed), failed_prerequisites=len(failed))
    ctx.map(one, parallel=PARALLEL)


@job("products.change_status")
def change_product_status(ctx: JobContext) -> None:
    """The items (our listing ids). ``args``: active (true, false), or action (activate, deactivate, delete, recover)."""
    active = change_status.ACTIVATE if ctx.args.get("active", True) else change_status.DEACTIVATE
    changer = change_status.Changer(_account_of(ctx), ctx.open_refs(), str(ctx.args.get("action") or active), ctx.commit_guard)
    ctx.map(lambda item: changer.take(item.ref))


@job("products.sync_status")
def sync_product_status(ctx: JobContext) -> None:
    """The items (our listing ids) when the run has some; the marked ones (``args``: marked); else everything that changed since the last time."""
    account_id = _account_of(ctx)
    if ctx.has_items():
        client = connections.tiktok(account_id)
        end_reading()

        def again(item: Item) -> str:
            return " ".join(status_sync.sync_one(client, int(item.ref), ctx.commit_guard)) or "No change."

        ctx.map(again, parallel=PARALLEL)
        return

    def progress(done: int) -> None:
        ctx.progress(done=done)

    sync = status_sync.sync_marked if ctx.args.get("marked") else status_sync.sync
    done = sync(account_id, guard=ctx.commit_guard, progress=progress, cancelled=lambda: ctx.cancelled)
    for listing_id, name, error in done.failed:
        ctx.park(str(listing_id), name, error)
    ctx.finish(done.sentence(), read=done.read, changed=done.changed)


@job("products.read_listings")
def read_listings(ctx: JobContext) -> None:
    """Initiate Import: every product of the shop, with a suggestion each."""
    found = linking.read_listings(ctx, _account_of(ctx))
    ctx.finish(found.sentence(), products=found.products, linked=found.linked, suggested=found.suggested)


@job("products.link")
def link_products(ctx: JobContext) -> None:
    """The items: ``<TikTokProduct id>`` or ``<TikTokProduct id>:<Magento product id>``. ``args``: template_id."""
    account_id, template_id = _account_of(ctx), ctx.args.get("template_id")
    ctx.map(lambda item: linking.link_item(account_id, item.ref, item.data, template_id=template_id), parallel=PARALLEL)


# --- shared ---------------------------------------------------------------------------------------------------------------------------------


def _account_of(ctx: JobContext) -> int:
    if ctx.account_id is None:
        raise DomainError("run.no_account", "This run belongs to no account.", "Submit it again from the account's page.")
    return ctx.account_id
