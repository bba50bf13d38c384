-- Removes marks by their tokens: KEYS are marks, bodies, then each mark's user's.
for i = 3, #KEYS do
  local token = take()
  redis.call('ZREM', KEYS[1], token)
  redis.call('HDEL', KEYS[2], token)
  redis.call('HDEL', KEYS[i], token)
end
