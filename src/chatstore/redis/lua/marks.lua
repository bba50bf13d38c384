-- Marks: see `redis/journal.py` for the keys.

-- Reads a mark from the arguments: how many there are (0 or 1), then its five parts.
local function take_mark()
  if take() == '0' then
    return nil
  end
  return { token = take(), at = take(), key = take(), while_open = take() == '1', body = take() }
end

-- A user's marks are a sorted set of keys with their tokens, so that those of one key are found without the others.
local function entry_of(key, token)
  return key .. '\0' .. token
end

-- A key may hold a zero byte, a token does not.
local function token_of(entry)
  return entry:sub(1 - entry:reverse():find('\0', 1, true))
end

-- Returns the tokens of the marks on a key.
local function tokens_on(user_marks, key)
  local tokens = {}
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', user_marks, '[' .. key .. '\0', '(' .. key .. '\1')) do
    local token = entry:sub(#key + 2)
    -- Else it is one of a longer key.
    if not token:find('\0', 1, true) then
      tokens[#tokens + 1] = token
    end
  end
  return tokens
end

local function clear_mark(marks, bodies, user_marks, key, token)
  redis.call('ZREM', marks, token)
  redis.call('HDEL', bodies, token)
  redis.call('ZREM', user_marks, entry_of(key, token))
end

local function unset_mark(keys, mark)
  if mark then
    clear_mark(keys.marks, keys.bodies, keys.user_marks, mark.key, mark.token)
  end
end

-- To be called before the first write: what a script did that is stopped in the middle, for want of a right, is marked.
local function set_mark(keys, mark)
  if mark and (not mark.while_open or redis.call('HGET', keys.migration, 'journal_open') == '1') then
    redis.call('HSET', keys.bodies, mark.token, mark.body)
    redis.call('ZADD', keys.user_marks, 0, entry_of(mark.key, mark.token))
    redis.call('ZADD', keys.marks, mark.at, mark.token)
  end
end
