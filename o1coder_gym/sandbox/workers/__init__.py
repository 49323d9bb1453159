"""The trusted side of zygotes: one worker each, and the pool of them."""
