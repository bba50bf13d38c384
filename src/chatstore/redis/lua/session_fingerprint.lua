-- Replies {fingerprint, user} of a session, or nil where none can be told: see `fingerprint.lua`. Changes nothing.
return fingerprint(is_bare())
