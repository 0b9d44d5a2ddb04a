"""What a command shows, and how a terminal can show it."""
