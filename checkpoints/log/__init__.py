"""One thread's checkpoints: what a record says, the newest of each thread, reading, appending, packing, listing."""
