"""A shop that lives: buyers, seller, marketplace clock, OMS and network act at random, and what must always hold is checked."""
