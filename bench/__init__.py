"""Speed as ratios within one run, the unattended demonstration and the exactly-once drill. Never part of the tests: machines are noisy."""
