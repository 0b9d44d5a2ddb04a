"""Logging in to AWS: a Region, credentials that renew themselves, and what refuses them."""
