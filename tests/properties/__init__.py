"""What must hold for any item and for any order of events. TEST_SCALE=large tries far more."""
