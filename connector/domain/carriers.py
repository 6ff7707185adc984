"""From a Magento carrier title to a TikTok shipping provider (A113, A237; TTS §5.2.3), and what to suggest for an unknown one. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

#: Words that say nothing about which carrier it is.
_FILLER = frozenset(("the", "and", "of", "shipping", "delivery", "courier", "express", "logistics", "parcel", "post", "service", "services", "ltd", "inc"))


@dataclass(frozen=True, slots=True)
class Provider:
    """A shipping provider as TikTok offers it for one delivery option; ids differ per option, names do not."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CarrierMatch:
    """The provider for a carrier title, or why there is none. ``code``: carrier.missing, carrier.unknown, carrier.not_offered."""

    title: str
    provider_id: str = ""
    provider_name: str = ""
    code: str = ""
    message: str = ""
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return bool(self.provider_id)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A provider that may be meant. ``confidence`` is 0 to 1; ``why`` says where it comes from."""

    provider: str
    confidence: float
    why: str


def normalise(name: str) -> str:
    """A carrier name without case, accents, punctuation and spacing: ``Royal-Mail®`` and ``royal mail`` are the same."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return " ".join(re.findall(r"[^\W_]+", "".join(char for char in plain if not unicodedata.combining(char))))


def match_carrier(title: str, mapping: Mapping[str, str], providers: Sequence[Provider], *, delivery_option: str = "") -> CarrierMatch:
    """Find the provider: by the policy's row for this title, else by a provider that bears the same name.

    ``mapping``: Magento carrier title -> TikTok provider name, as the order policy's rows say.
    """
    offered = {normalise(provider.name): provider for provider in providers}
    facts: dict[str, Any] = {"carrier": title, "delivery_option": delivery_option, "offered": [provider.name for provider in providers]}
    if not title.strip():
        return CarrierMatch(
            title, code="carrier.missing", message="The parcel names no carrier.", remedy="Choose the carrier with the Ship action.", facts=facts
        )
    row = next((name for known, name in mapping.items() if normalise(known) == normalise(title)), None)
    facts["mapped_to"] = row
    found = offered.get(normalise(row if row is not None else title))
    if found is not None:
        return CarrierMatch(title, found.id, found.name, facts=facts)
    if row is None:
        return CarrierMatch(
            title,
            code="carrier.unknown",
            message=f"The carrier {title!r} is not mapped to a TikTok carrier.",
            remedy="Map it; every parcel that waits for it is sent then.",
            facts=facts,
        )
    place = f" for {delivery_option}" if delivery_option else ""
    return CarrierMatch(
        title,
        code="carrier.not_offered",
        message=f"{title!r} is mapped to {row!r}, which TikTok does not offer{place}.",
        remedy=f"Map it to one of: {', '.join(facts['offered']) or 'none is offered; fetch onboarding data'}.",
        facts=facts,
    )


def suggest(title: str, providers: Iterable[str], seen: Mapping[str, Mapping[str, int]] | None = None, *, limit: int = 3) -> list[Suggestion]:
    """Providers that may be meant by a title, most likely first.

    ``seen``: normalised title -> provider name -> how many parcels went that way; what was accepted before weighs most.
    """
    names = list(dict.fromkeys(providers))
    before = (seen or {}).get(normalise(title), {})
    total = sum(before.values())
    found: list[Suggestion] = []
    for name in names:
        likeness = similarity(title, name)
        used = before.get(name, 0)
        if used:
            found.append(Suggestion(name, round(max(likeness, 0.75 + 0.24 * used / total), 2), f"{used} earlier parcels went this way"))
        elif likeness >= 0.5:
            found.append(Suggestion(name, round(likeness, 2), "the same name" if likeness == 1 else "a similar name"))
    return sorted(found, key=lambda suggestion: -suggestion.confidence)[:limit]


def similarity(one: str, other: str) -> float:
    """0 to 1. Equal words weigh more than equal letters, the first one most (it is the brand): ``DHL Express`` is ``DHL Parcel UK`` sooner than ``DPD``."""
    left, right = normalise(one), normalise(other)
    if not left or not right:
        return 0.0
    if left == right:
        return 1.0
    words, others = _words(left), _words(right)
    shared = len(words & others) / min(len(words), len(others)) if words and others else 0.0
    letters = SequenceMatcher(None, left.replace(" ", ""), right.replace(" ", "")).ratio()
    brand = 0.75 if left.split()[0] == right.split()[0] and left.split()[0] not in _FILLER else 0.0
    return min(0.95, max(0.9 * shared, letters, brand))


def _words(text: str) -> set[str]:
    every = set(text.split())
    return every - _FILLER or every
