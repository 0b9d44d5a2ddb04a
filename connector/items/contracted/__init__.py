"""Values of declared columns: cast where they fit exactly, and set apart where they do not."""
