"""A secret's overlap, a recall's date; the product's unused column goes

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-22 08:40:12.402511

"""
from datetime import timedelta

from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade():
    # Column by column, never as a batch: SQLite would write the whole table anew, and dropping the old one would take along what refers to it.
    op.add_column('oms_connection', sa.Column('old_secrets', sa.Text(), nullable=True))
    op.add_column('recall_task', sa.Column('due_at', sa.DateTime(timezone=True), nullable=True))
    op.drop_column('product', 'sweep')
    op.drop_column('product_cursor', 'sweep')

    recall = sa.table(
        'recall_task', sa.column('id', sa.BigInteger()), sa.column('state', sa.String()),
        sa.column('opened_at', sa.DateTime(timezone=True)), sa.column('due_at', sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    days = {'open': timedelta(days=3), 'returning': timedelta(days=14)}
    for row in connection.execute(sa.select(recall).where(recall.c.state.in_(days))).all():
        connection.execute(recall.update().where(recall.c.id == row.id).values(due_at=row.opened_at + days[row.state]))


def downgrade():
    op.add_column('product_cursor', sa.Column('sweep', sa.Integer(), nullable=False, server_default='0'))
    op.add_column('product', sa.Column('sweep', sa.Integer(), nullable=False, server_default='0'))
    op.drop_column('recall_task', 'due_at')
    op.drop_column('oms_connection', 'old_secrets')
