"""Job bodies around accounts: onboarding data, tokens, webhooks, mail, housekeeping."""

from __future__ import annotations

from connector.jobs.runtime import JobContext, job
from connector.services import accounts, housekeeping, mail
from connector.services.accounts import onboarding_changes
from connector.services.accounts.onboarding import describe_counts


@job("accounts.onboard")
def onboard(ctx: JobContext) -> None:
    """Fetch Onboarding Data (A036, A037)."""
    assert ctx.account_id is not None
    counts = accounts.import_onboarding_data(ctx.account_id, progress=lambda stage: ctx.progress(stage=stage))
    fetched = onboarding_changes.last(ctx.account_id)
    changed = fetched.event.reason if fetched is not None else ""
    ctx.finish(f"Onboarding Data Imported successfully: {describe_counts(counts)}. {changed}".strip(), **counts)


@job("accounts.refresh_tokens")
def refresh_tokens(ctx: JobContext) -> None:
    done, failures = accounts.refresh_due_tokens()
    found = accounts.find_again()
    message = f"{done} authorisations refreshed." if done else "No authorisation ends soon."
    if failures:
        message += " Not refreshed: " + "; ".join(f"{accounts.get(account_id).title} ({error})" for account_id, error in failures)
    if found:
        message += " Authorised again: " + ", ".join(accounts.get(account_id).title for account_id in found) + "."
    ctx.finish(message, refreshed=done, failed=len(failures), found=len(found))


@job("accounts.check_webhooks")
def check_webhooks(ctx: JobContext) -> None:
    assert ctx.account_id is not None
    ctx.finish(accounts.check_webhooks(ctx.account_id))


@job("mail.send")
def send_mail(ctx: JobContext) -> None:
    sent, failed = mail.send_queued()
    ctx.finish(f"{sent} mails sent, {failed} failed." if failed else f"{sent} mails sent.", sent=sent, failed=failed)


@job("housekeeping")
def clean_up(ctx: JobContext) -> None:
    counts = housekeeping.clean_up(progress=lambda stage: ctx.progress(stage=stage))
    ctx.finish("Removed: " + ", ".join(f"{count} {what}" for what, count in counts.items()) + ".", **counts)
