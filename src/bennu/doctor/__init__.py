"""Looks at a deployment as the specification tells people to: best practices, troubleshooting."""
