"""Projects: what separates the traces of one application from those of another."""
