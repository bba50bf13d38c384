-- Moves a checkpoint if the lease (the first key) is this holder's; replies 1, or 0 when it is not.
local holder, run, checkpoint = take(), take(), take()
if redis.call('GET', KEYS[1]) ~= holder then
  return 0
end
if checkpoint then
  redis.call('HSET', KEYS[2], run, checkpoint)
else
  redis.call('HDEL', KEYS[2], run)
end
return 1
