-- Makes marks durable: KEYS are marks, bodies, migration, then each mark's user's.
local keys = { marks = KEYS[1], bodies = KEYS[2], migration = KEYS[3] }
for i = 4, #KEYS do
  keys.user_marks = KEYS[i]
  set_mark(keys, take_mark())
end
