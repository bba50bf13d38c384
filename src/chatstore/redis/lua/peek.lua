-- Some of what lies at a key, to tell whose it is by its shape: of a list the first and the last items, of a hash its fields,
-- each value cut. Items that are too large to be asked for among many are left out. Replies nil when the key is gone.

local FIELDS, LARGE = 100, 65536

local kind = redis.call('TYPE', KEYS[1]).ok
local found = {}
if kind == 'list' then
  local length = redis.call('LLEN', KEYS[1])
  for _, place in ipairs({ 0, 1, length - 2, length - 1 }) do
    local item = place >= 0 and redis.call('LINDEX', KEYS[1], place)
    if item and #item <= LARGE then
      found[#found + 1] = item
    end
  end
elseif kind == 'hash' then
  for i, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if i <= FIELDS then
      found[#found + 1] = name
      found[#found + 1] = redis.call('HGET', KEYS[1], name):sub(1, LARGE)
    end
  end
else
  return nil
end
return found
