"""What all may use: errors, clock, identifiers, environment, logs: standard library only."""
