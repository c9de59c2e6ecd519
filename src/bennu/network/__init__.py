"""Who may reach the server and how often: origins, limits, hosts, outbound rules."""
