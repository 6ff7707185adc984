"""An order management system beside the store: feeds out, updates in (A251-A258, A265; product.md 8)."""
