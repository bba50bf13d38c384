"""Which stage a call is served at: what is asked of OpenFeature, what stands without an answer, and what it is told."""
