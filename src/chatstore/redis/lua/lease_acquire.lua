-- Takes or renews the lease; replies {} or its other holder and the milliseconds that it still has.
local holder, milliseconds = take(), take()
local held = redis.call('GET', KEYS[1])
if held and held ~= holder then
  return { held, redis.call('PTTL', KEYS[1]) }
end
redis.call('SET', KEYS[1], holder, 'PX', milliseconds)
return {}
