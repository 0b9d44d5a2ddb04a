"""The rigs tests run against: scripted or real sources with a real wire between."""
