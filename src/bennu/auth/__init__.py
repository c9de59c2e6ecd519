"""Who is calling: the ways to sign in, sessions and keys."""
