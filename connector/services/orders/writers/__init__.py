"""Two ways to write a TikTok order into Magento, behind one interface (MAG §4.4.3).

``checkout`` places it through a cart, which reserves stock, and corrects the money; ``direct`` saves it as it is and reserves nothing. Both take a
``Task``, resume from the claim's step, and return the Magento order as read back, with its amounts verified to the cent.
"""

from __future__ import annotations

from collections.abc import Callable

from connector.services.orders.writers import checkout, direct
from connector.services.orders.writers.task import Task, Written

WRITERS: dict[str, Callable[[Task], Written]] = {"checkout": checkout.write, "direct": direct.write}

__all__ = ["WRITERS", "Task", "Written"]
