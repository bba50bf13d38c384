-- Removes from a user's index those of some records that were last written before a time.
local before = tonumber(take())
for _, id in ipairs(take_list()) do
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score and tonumber(score) < before then
    redis.call('ZREM', KEYS[1], id)
  end
end
