"""What arrives over OpenTelemetry: decompressing, decoding, queueing, storing."""
