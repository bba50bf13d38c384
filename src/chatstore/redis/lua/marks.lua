-- Marks: see `redis/journal.py` for the keys.

-- Reads a mark from the arguments: how many there are (0 or 1), then its five parts.
local function take_mark()
  if take() == '0' then
    return nil
  end
  return { token = take(), at = take(), key = take(), while_open = take() == '1', body = take() }
end

local function set_mark(keys, mark)
  if mark and (not mark.while_open or redis.call('HGET', keys.migration, 'journal_open') == '1') then
    redis.call('ZADD', keys.marks, mark.at, mark.token)
    redis.call('HSET', keys.bodies, mark.token, mark.body)
    redis.call('HSET', keys.user_marks, mark.token, mark.key)
  end
end
