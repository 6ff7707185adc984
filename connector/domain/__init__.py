"""Pure rules: no I/O, no Flask, no database."""
