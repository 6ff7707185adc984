"""What a person keeps about a grid: which columns, and views with a name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Base, JSONText, UTCDateTime
from connector.models.user import User


class GridPreference(Base):
    """One person's choice of columns for one grid."""

    __tablename__ = "grid_preference"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    grid_key: Mapped[str] = mapped_column(String(40), primary_key=True)
    columns: Mapped[list[str]] = mapped_column(JSONText, default=list)


class SavedView(Base):
    """A grid's query string under a name; the owner's own, or shared with everybody who may see the grid."""

    __tablename__ = "saved_view"
    __table_args__ = (Index("uq_saved_view_owner_grid_name", "user_id", "grid_key", "name", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    grid_key: Mapped[str] = mapped_column(String(40), index=True)
    name: Mapped[str] = mapped_column(String(60))
    query: Mapped[str] = mapped_column(Text, default="")
    shared: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    owner: Mapped[User] = relationship(lazy="joined", innerjoin=True)
