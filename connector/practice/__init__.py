"""The practice marketplace and the practice store: real HTTP servers on loopback, with storage of their own (README.md here)."""
