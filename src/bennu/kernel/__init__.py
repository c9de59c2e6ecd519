"""What every feature may use: errors, clock, identifiers, environment, logs. Standard library only."""
