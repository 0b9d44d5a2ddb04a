"""Changes as any source reports them, and the shards that they come in."""
