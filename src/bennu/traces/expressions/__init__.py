"""The language of filters: from a text over a typed tree to a condition in SQL, values bound."""
