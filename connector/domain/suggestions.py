"""Suggestions with a confidence: which Magento attribute fits a TikTok attribute, value by value, and which category fits a product (A124, A139).

Nothing is applied unasked. Confidence is a whole percent; the reasons say what it rests on.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from connector.domain.listing_category import CategoryAttribute

LEAST = 40  #: percent; weaker guesses are not shown
SURE = 80  #: percent; from here on a suggestion may be ticked beforehand

#: Words that mean the same in names of attributes.
_SAME = {
    "color": "colour", "farbe": "colour", "couleur": "colour", "manufacturer": "brand", "marke": "brand", "fabric": "material", "composition": "material",
    "fibre": "material", "fiber": "material", "gtin": "barcode", "ean": "barcode", "upc": "barcode", "sizes": "size", "groesse": "size", "colours": "colour",
    "colors": "colour", "materials": "material", "origin": "country", "flavor": "flavour", "scent": "fragrance", "sleeves": "sleeve",
}  # fmt: skip
_NOISE = frozenset(("the", "of", "and", "or", "a", "an", "for", "in", "type", "attribute", "product", "tiktok", "ts"))


@dataclass(frozen=True, slots=True)
class MagentoAttribute:
    """An attribute of the store: its code, label and, for selects, its options by id."""

    code: str
    label: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ValueSuggestion:
    """A Magento option and the TikTok value that it probably is."""

    option_id: str
    option: str
    value_id: str
    value: str
    confidence: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``values``: the options that found a value; ``open_options``: those that did not."""

    attribute_id: str
    magento_attribute: str
    confidence: int
    reasons: tuple[str, ...]
    values: tuple[ValueSuggestion, ...] = ()
    open_options: tuple[str, ...] = ()


def suggest(attribute: CategoryAttribute, candidates: Iterable[MagentoAttribute], *, limit: int = 3) -> list[Suggestion]:
    """The best Magento attributes for a TikTok attribute, best first; [] when none is likely."""
    found = [suggestion for candidate in candidates if (suggestion := _rate(attribute, candidate)).confidence >= LEAST]
    return sorted(found, key=lambda suggestion: (-suggestion.confidence, suggestion.magento_attribute))[:limit]


def _rate(attribute: CategoryAttribute, candidate: MagentoAttribute) -> Suggestion:
    name = max(name_similarity(attribute.name, candidate.label), name_similarity(attribute.name, candidate.code.replace("_", " ")))
    reasons = [f"The names {attribute.name} and {candidate.label or candidate.code} are {'the same' if name == 1 else 'alike'}."] if name >= 0.5 else []
    values: tuple[ValueSuggestion, ...] = ()
    open_options: tuple[str, ...] = ()
    score = name * 0.9
    if attribute.values and candidate.options:
        values = suggest_values(attribute.values, candidate.options)
        open_options = tuple(option for option_id, option in candidate.options.items() if option_id not in {each.option_id for each in values})
        overlap = len(values) / len(candidate.options)
        if values:
            reasons.append(f"{len(values)} of {len(candidate.options)} options of {candidate.code} are values of {attribute.name}.")
        score = 0.55 * name + 0.45 * overlap if name >= 0.5 else 0.15 * name + 0.75 * overlap * min(1.0, len(values) / 3)
    elif attribute.values and not attribute.is_customizable:
        score *= 0.8  # free text can miss a closed list
    return Suggestion(attribute.id, candidate.code, round(100 * score), tuple(reasons), values, open_options)


def suggest_values(values: Mapping[str, str], options: Mapping[str, str]) -> tuple[ValueSuggestion, ...]:
    """For each Magento option the TikTok value of the same or nearly the same name; options without one are left out."""
    by_name = {" ".join(words(label)): value_id for value_id, label in reversed(list(values.items()))}
    found = []
    for option_id, option in options.items():
        asked = " ".join(words(option))
        if not asked:
            continue
        if asked in by_name:
            found.append(ValueSuggestion(option_id, option, by_name[asked], values[by_name[asked]], 100))
            continue
        near = max(((likeness(asked, name), value_id) for name, value_id in by_name.items()), default=(0.0, ""))
        if near[0] >= 0.84:
            found.append(ValueSuggestion(option_id, option, near[1], values[near[1]], round(100 * near[0])))
    return tuple(found)


def name_similarity(one: str, other: str) -> float:
    """0 to 1: the share of words in common, with spelling forgiven."""
    mine, theirs = set(words(one)) - _NOISE, set(words(other)) - _NOISE
    if not mine or not theirs:
        return 0.0
    if mine == theirs:
        return 1.0
    common = mine & theirs
    shared = 2 * len(common) / (len(mine) + len(theirs))
    return max(shared, 0.9 * likeness(" ".join(sorted(mine)), " ".join(sorted(theirs))))


def words(text: str) -> list[str]:
    """Lower-case words without accents, synonyms made one: "Main Color" -> ["main", "colour"]."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))
    return [_SAME.get(word, word) for word in re.findall(r"[^\W_]+", plain)]


def likeness(one: str, other: str) -> float:
    """How alike two texts are, 0 to 1; short ones must be equal, because XL and XS are not alike."""
    if min(len(one), len(other)) < 4 or any(character.isdigit() for character in one + other):
        return 1.0 if one == other else 0.0
    matcher = SequenceMatcher(None, one, other)
    return matcher.ratio() if matcher.real_quick_ratio() >= 0.6 and matcher.quick_ratio() >= 0.6 else 0.0


@dataclass(frozen=True, slots=True)
class CategorySuggestion:
    """A leaf with its path, root first."""

    category_id: str
    path: tuple[str, ...]
    confidence: int
    reason: str


def category_paths(rows: Iterable[Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    """Leaf id -> names from the root down, of TikTok's flat tree (TTS §5.3.2). A parent that is missing ends the path; a circle too."""
    nodes = {str(row["id"]): row for row in rows}
    paths: dict[str, tuple[str, ...]] = {}
    for key, node in nodes.items():
        if not node.get("is_leaf"):
            continue
        names: list[str] = []
        seen: set[str] = set()
        at: str | None = key
        while at in nodes and at not in seen:
            seen.add(at)
            names.insert(0, str(nodes[at].get("local_name") or ""))
            at = str(nodes[at].get("parent_id") or "")
        paths[key] = tuple(names)
    return paths


def suggest_categories(paths: Mapping[str, tuple[str, ...]], name: str, magento_categories: Sequence[str] = (), *, limit: int = 5) -> list[CategorySuggestion]:
    """Leaves that share words with the product's name and its Magento categories, best first. For the time before TikTok was asked."""
    asked = Counter(_stems(name))
    for category in magento_categories:
        for stem in _stems(category):
            asked[stem] += 2  # the merchant's own sorting says more than a title
    if not asked:
        return []
    rated = []
    for key, path in paths.items():
        leaf, above = set(_stems(path[-1])), {stem for part in path[:-1] for stem in _stems(part)}
        hits = leaf & asked.keys()
        if not hits:
            continue
        weight = sum(min(asked[stem], 3) for stem in hits) / (3 * len(leaf))
        support = sum(min(asked[stem], 3) for stem in (above - leaf) & asked.keys()) / 6
        found = " and ".join(sorted(hits))
        rated.append(CategorySuggestion(key, path, round(100 * min(1.0, 0.75 * weight + 0.25 * min(1.0, support) + 0.1)), f"It shares the words {found}."))
    return sorted(rated, key=lambda each: (-each.confidence, each.path))[:limit]


def vote(recommended: Iterable[str | None], paths: Mapping[str, tuple[str, ...]]) -> list[CategorySuggestion]:
    """What TikTok recommended for a sample of a template's products, counted: the confidence is the share of the sample (TTS §5.3.3)."""
    answers = list(recommended)
    counted = Counter(answer for answer in answers if answer)
    return [
        CategorySuggestion(key, paths.get(key, ()), round(100 * count / len(answers)), f"TikTok recommends it for {count} of {len(answers)} products.")
        for key, count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _stems(text: str) -> list[str]:
    """Words without plural and possessive, from three letters on."""
    return [stem for word in words(text.replace("'s", "")) if len(stem := re.sub(r"(ies|es|s)$", lambda end: "y" if end[0] == "ies" else "", word)) > 2]
