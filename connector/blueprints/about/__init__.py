"""The pages behind the footer (A027), and the theme."""

from connector.blueprints.about.views import bp

__all__ = ["bp"]
