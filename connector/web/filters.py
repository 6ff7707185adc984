"""How values look: money, instants, deadlines, durations. Formatting happens here and nowhere else."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from flask import Flask, g
from flask_login import current_user
from markupsafe import Markup, escape

from connector.core.clock import utcnow
from connector.services.kinds import KINDS

#: A deadline nearer than this is pressing.
SOON = timedelta(hours=6)
DAY = timedelta(hours=24)
#: Who or what asked for work that no person asked for.
OCCASIONS = {
    "schedule": "by schedule",
    "scheduler": "by schedule",
    "webhook": "called by TikTok",
    "manual": "by hand",
    "heal": "by reconciliation",
    "gates passed": "every check passed",
}
MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(
        money=money,
        amount=amount,
        when=when,
        day=day,
        ago=ago,
        deadline=deadline,
        duration=duration,
        number=number,
        filesize=filesize,
        doer=doer,
        occasion=occasion,
    )
    asset = app.jinja_env.globals["asset"]
    app.jinja_env.globals["icon"] = lambda name, label="": _icon(asset("icons.svg"), name, label)
    app.jinja_env.globals["zone_name"] = lambda: user_zone().key
    app.jinja_env.tests["sequence_of_pairs"] = lambda value: isinstance(value, list | tuple)


@lru_cache(maxsize=512)
def _icon(sprite: str, name: str, label: str) -> Markup:
    """One icon of the sprite; decoration unless it is given a label."""
    says = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="{}#{}"></use></svg>').format(says, sprite, name)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def user_zone() -> ZoneInfo:
    """The signed-in user's time zone, else UTC."""
    kept = g._get_current_object()  # looked up once: a page asks for every instant it shows
    zone: ZoneInfo | None = kept.get("zone")
    if zone is None:
        zone = kept.zone = _zone(current_user.time_zone if current_user and current_user.is_authenticated else "UTC")
    return zone


@lru_cache(maxsize=256)
def _decimals(currency: str) -> int:
    return get_currency_precision(currency)


def money(value: Decimal | str | None, currency: str | None = None) -> str:
    """'1,234.50 USD', of an amount or of its text. Decimals beyond the currency's own are shown, never rounded away."""
    if value is None:
        return ""
    value = Decimal(value)
    places = _decimals(currency or "USD")
    exponent = value.normalize().as_tuple().exponent
    own = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    figure = f"{value:,.{max(places, own)}f}"
    return f"{figure}\N{NO-BREAK SPACE}{currency}" if currency else figure


def amount(value: Any, currency: str | None = None) -> str:
    """Money that came as text, as TikTok sends it; what is no amount as it came."""
    try:
        return money(Decimal(str(value)), currency)
    except (ArithmeticError, ValueError):
        return f"{value} {currency or ''}".strip()


def number(value: int | Decimal | None) -> str:
    return "" if value is None else f"{value:,}"


def occasion(word: str) -> str:
    """'schedule' as 'by schedule': what set off something that was not a person's click; other words stay."""
    return OCCASIONS.get(word, word)


def doer(actor: str) -> str:
    """Who did it: 'job orders.import for webhook' as 'Import orders, called by TikTok'; a person or a name as it is."""
    job = re.fullmatch(r"job (\S+)(?: for (.+))?", actor)
    if job is None or job[1] not in KINDS:
        return actor
    title, asked = KINDS[job[1]].title, job[2] or ""
    return f"{title}, {OCCASIONS.get(asked, f'for {asked}')}" if asked else title


def filesize(value: int) -> str:
    return f"{value:,} B" if value < 1024 else f"{value / 1024:,.0f} kB" if value < 1024**2 else f"{value / 1024**2:,.1f} MB"


def when(value: datetime | None, *, seconds: bool = False) -> Markup | str:
    """An instant in the user's time zone, with the UTC moment for machines."""
    if value is None:
        return ""
    local = value.astimezone(user_zone())
    text = f"{local.day} {MONTHS[local.month]} {local.year}, {local.hour:02d}:{local.minute:02d}" + (f":{local.second:02d}" if seconds else "")
    # Digits and letters of our own making: nothing here needs escaping, and 200 rows ask for it (strftime would take longer than the query).
    return Markup(f'<time datetime="{value.isoformat(timespec="seconds")}">{text}</time>')  # noqa: S704


def day(value: datetime | None) -> Markup | str:
    if value is None:
        return ""
    local = value.astimezone(user_zone())
    return Markup(f'<time datetime="{value.isoformat(timespec="seconds")}">{local.day} {MONTHS[local.month]} {local.year}</time>')  # noqa: S704


def _span(seconds: float) -> str:
    seconds = int(abs(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60:02d} min" if hours < 6 else f"{hours} h"
    return f"{days} d {hours % 24} h" if days < 7 else f"{days} d"


def duration(value: timedelta | float | int | None) -> str:
    """'45 s', '3 min', '2 h 05 min', '4 d 3 h'."""
    if value is None:
        return ""
    return _span(value.total_seconds() if isinstance(value, timedelta) else value)


def ago(value: datetime | None, now: datetime | None = None) -> Markup | str:
    if value is None:
        return "never"
    passed = ((now or utcnow()) - value).total_seconds()
    words = "just now" if 0 <= passed < 5 else f"{_span(passed)} ago" if passed >= 0 else f"in {_span(passed)}"
    return _time(value, words)


def _time(value: datetime, words: str, attributes: str = "") -> Markup:
    """Words about an instant; digits and letters of our own making, so nothing needs escaping (and ``Markup.format`` is slow)."""
    stamp = value.isoformat(timespec="seconds")
    return Markup(f'<time{attributes} datetime="{stamp}" title="{stamp[:10]} {stamp[11:16]} UTC">{words}</time>')  # noqa: S704


def deadline(value: datetime | None, now: datetime | None = None) -> Markup | str:
    """Time left, with a shape and a colour beside the words. ``now`` is the clock the deadline belongs to (the shop's, in practice mode)."""
    if value is None:
        return ""
    left = value - (now or utcnow())
    kind, words = (
        ("overdue", f"{_span(left.total_seconds())} overdue")
        if left < timedelta()
        else ("soon" if left < SOON else "today" if left < DAY else "later", f"{_span(left.total_seconds())} left")
    )
    return _time(value, words, f' class="deadline" data-deadline="{kind}"')


def lines(text: Any) -> Markup:
    """Plain text with its line breaks kept."""
    return Markup("<br>").join(escape(line) for line in str(text).splitlines())
