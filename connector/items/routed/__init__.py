"""Items on their way to one of several targets."""
