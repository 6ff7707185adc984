"""Reconciliation: the proof that no order is lost."""

from connector.blueprints.reconciliation.views import bp

__all__ = ["bp"]
