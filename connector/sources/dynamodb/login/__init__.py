"""Logging in to AWS: the Region, credentials that renew themselves, and errors about both."""
