"""The pages: rendered on the server, over the same flows as the REST interface."""
