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
-- A mark whose body is gone is passed over, and the next takes its place: a page that is empty is the end.
local bodies = {}
repeat
  local found = redis.call('ZRANGE', KEYS[1], first, first + limit - #bodies - 1)
  first = first + #found
  for _, one in ipairs(found) do
    bodies[#bodies + 1] = redis.call('HGET', KEYS[2], one) or nil
  end
until #found == 0 or #bodies == limit
return bodies
