"""Sign-in through identity providers."""
