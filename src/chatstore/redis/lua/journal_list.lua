-- Returns marks' bodies, oldest first, behind a score and token where they are given.
local limit, at, token = tonumber(take()), take(), take()
local first = 0
if at ~= '' then
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. at)
  for _, same in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], at, at)) do
    if not bytes_before(token, same) then
      first = first + 1
    end
  end
end
local bodies = {}
for _, found in ipairs(redis.call('ZRANGE', KEYS[1], first, first + limit - 1)) do
  bodies[#bodies + 1] = redis.call('HGET', KEYS[2], found)
end
return bodies
