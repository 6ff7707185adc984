"""Accounts: made, authorised, kept authorised, filled with onboarding data, taken live (A011-A019, A032-A050)."""

from connector.services.accounts.authorise import finish_authorisation, start_authorisation
from connector.services.accounts.editing import COUNTRIES, Choice, create, ensure_schedules, get, listed, set_active, update
from connector.services.accounts.go_live import check as check_go_live
from connector.services.accounts.go_live import go_live_checks
from connector.services.accounts.onboarding import check_webhooks, import_onboarding_data, register_webhooks
from connector.services.accounts.practice import PRACTICE_COUNTRIES, next_practice_country, practice_is_there, use_practice_shop, use_practice_store
from connector.services.accounts.standing import authorisation_back, authorisation_lost, find_again, refresh_due_tokens

__all__ = [
    "COUNTRIES",
    "PRACTICE_COUNTRIES",
    "Choice",
    "authorisation_back",
    "authorisation_lost",
    "check_go_live",
    "check_webhooks",
    "create",
    "ensure_schedules",
    "find_again",
    "finish_authorisation",
    "get",
    "go_live_checks",
    "import_onboarding_data",
    "listed",
    "next_practice_country",
    "practice_is_there",
    "refresh_due_tokens",
    "register_webhooks",
    "set_active",
    "start_authorisation",
    "update",
    "use_practice_shop",
    "use_practice_store",
]
