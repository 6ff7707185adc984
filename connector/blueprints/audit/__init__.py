"""Who did what; also the footer's Account Activity (A027)."""

from flask import Blueprint

from connector.grids.audit import AUDIT
from connector.web.grids import grid_routes

bp = Blueprint("audit", __name__, url_prefix="/activity")

grid_routes(bp, AUDIT, "audit/index.html")
