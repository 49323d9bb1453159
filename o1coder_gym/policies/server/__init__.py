"""What stands between an engine and the servers of others: HTTP, what a server can do, what it answers."""
