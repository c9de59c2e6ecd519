"""What watches the server: probes and counters."""
