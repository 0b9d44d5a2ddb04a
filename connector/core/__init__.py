"""Pure logic: values, schemas, names, cursors and shards. Nothing here does I/O."""
