-- The keys of one session, and what every script about it is told first.
--
-- On a cluster the header and the ledger lie in one slot. The index and the journal lie in others: there their keys are
-- not given, and both are written before this script is run.
local keys = {
  header = KEYS[1],
  state = KEYS[2],
  order = KEYS[3],
  entries = KEYS[4],
  tombstones = KEYS[5],
  companion = KEYS[6],
  index = KEYS[7],
  marks = KEYS[8],
  bodies = KEYS[9],
  user_marks = KEYS[10],
  migration = KEYS[11],
  session_id = take(),
  -- Whose it is by the mapping of owners; empty where that does not say.
  owner = take(),
}
