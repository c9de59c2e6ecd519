"""Sessions of people: opening, refreshing, ending them."""
