"""What AWS and its library refuse, in sentences of our own."""
