"""A Magento description becomes one that TikTok takes, whatever is in it (TTS §5.3.8, MAG §4.2.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain import listing_codes as codes
from connector.domain.listing_codes import Findings
from connector.domain.listing_text import HostedImage, check_description, clean_description

HOSTED = {"wysiwyg/a.jpg": HostedImage("tos/a", "https://p16.example/a", "DESCRIPTION_IMAGE", 900, 600)}


@pytest.mark.parametrize(
    ("source", "cleaned"),
    [
        ("<p>One &amp; two</p>", "<p>One &amp; two</p>"),
        ("First line\n\nSecond & last", "<p>First line</p><p>Second &amp; last</p>"),
        ('<p style="color:red" onclick="steal()">Text</p>', "<p>Text</p>"),
        ("<p>Before</p><script>alert(1)</script><p>After</p>", "<p>Before</p><p>After</p>"),
        ("<style>p {}</style><h2>Head</h2>", "<h2>Head</h2>"),
        ('<a href="https://x.test">link</a> text', "<p>link text</p>"),
        ("<p>Open <b>bold</p> rest", "<p>Open <b>bold</b></p> rest"),
        ("</div><p>Stray", "<p>Stray</p>"),
        ("<p>line<br/>break</p>", "<p>line<br>break</p>"),
        ('<img src="{{media url="wysiwyg/a.jpg"}}" alt="x">', '<img src="https://p16.example/a" width="900" height="600">'),
        ("<img src='{{media url=wysiwyg/a.jpg}}'>", '<img src="https://p16.example/a" width="900" height="600">'),
        ('<p>{{widget type="Magento\\Cms\\Block"}}Text</p>', "<p>Text</p>"),
        ("<table><tr><td>1</td></tr></table>", "<table><tr><td>1</td></tr></table>"),
        ("<embed src='x'><p>Kept</p>", "<p>Kept</p>"),
        ("", ""),
    ],
)
def test_html_is_cleaned(source: str, cleaned: str) -> None:
    assert clean_description(source, HOSTED).html == cleaned


def test_what_is_left_out_is_told_and_images_are_listed_in_order() -> None:
    found = clean_description('<p>A</p><img src="wysiwyg/a.jpg"><img src="https://x.test/b.png"><iframe src="x"></iframe>{{block id="7"}}', HOSTED)
    assert found.images == ("wysiwyg/a.jpg", "https://x.test/b.png")
    assert found.notes == (
        "The tag <iframe> was left out of the description.",
        "The image https://x.test/b.png was left out of the description: it is not uploaded.",
        "Magento's own directives ({{...}}) were left out of the description.",
    )


pieces = st.sampled_from(
    ["<p>", "</p>", "<b>", "</b>", "<script>", "</script>", "<img src='wysiwyg/a.jpg'>", "<img>", "text", " & ", "&lt;", "<ul><li>", "</ul>", "<br>", "{{x}}", "<a href='j'>", "<!--", "-->", "<svg>"]
) | st.text(max_size=8)  # fmt: skip


@given(st.lists(pieces, max_size=25).map("".join))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_nothing_that_tiktok_refuses_comes_out(source: str) -> None:
    cleaned = clean_description(source, HOSTED).html
    found = Findings()
    check_description(found, cleaned, {image.url: image for image in HOSTED.values()})
    assert {problem.code for problem in found.problems} <= {codes.PARAMETER_MISSING, codes.DESCRIPTION_LENGTH}
    assert clean_description(cleaned, {"https://p16.example/a": HOSTED["wysiwyg/a.jpg"]}).html == cleaned, "cleaning twice changes nothing"


def test_addresses_are_not_judged_when_the_uploads_are_not_known() -> None:
    found: Any = Findings()
    check_description(found, '<img src="https://anywhere.example/x" width="1" height="1">', None)
    assert found.problems == []
