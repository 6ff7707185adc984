"""The order desk's pages render for every role, empty and filled (A179-A212, A221-A225)."""

from __future__ import annotations

import pytest

PAGES = ("/", "/orders/", "/queue/", "/queue/schedule", "/api-calls/", "/activity/", "/reconciliation/")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_what_to_do_when_there_is_nothing_yet(admin_client, path) -> None:
    answer = admin_client.get(path)
    assert answer.status_code == 200, answer.text[:3000]
    assert "<h1>" in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_a_viewer_may_look_and_finds_no_button_that_writes(viewer_client, path) -> None:
    answer = viewer_client.get(path)
    assert answer.status_code == 200
    for write in ("/queue/pause", "/orders/import", "/reconciliation/check", "/causes/heal"):
        assert f'"{write}"' not in answer.text
