"""HTTP for every feature: the route value, reading requests, writing answers, the interface."""
