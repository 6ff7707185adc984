"""Foundations that know nothing of the product: database, clock, encryption, errors, logs."""
