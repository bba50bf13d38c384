-- Makes marks that were made ahead of their writes what they are, once those are done. Those that are for an open journal
-- only are cleared where it is not; one that somebody cleared stays cleared. KEYS are marks, bodies, migration, then each
-- mark's user's; the arguments are the marks.
local is_open = redis.call('HGET', KEYS[3], 'journal_open') == '1'
for i = 4, #KEYS do
  local mark = take_mark()
  if mark.while_open and not is_open then
    clear_mark(KEYS[1], KEYS[2], KEYS[i], mark.key, mark.token)
  elseif redis.call('HEXISTS', KEYS[2], mark.token) == 1 then
    redis.call('HSET', KEYS[2], mark.token, mark.body)
  end
end
