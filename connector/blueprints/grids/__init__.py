"""What a person keeps about a grid: columns and saved views."""

from connector.blueprints.grids.views import bp

__all__ = ["bp"]
