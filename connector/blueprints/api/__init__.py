"""The JSON API for an OMS (A251-A258, A265): feeds out, updates in, orders looked up. Described by ``/api/v1/openapi.json``."""

from connector.blueprints.api.views import bp

__all__ = ["bp"]
