-- Returns members of a user's index with their scores, newest first, behind a score and member where they are given.
local limit, score, member = tonumber(take()), take(), take()
local first = 0
if score ~= '' then
  first = redis.call('ZCOUNT', KEYS[1], '(' .. score, '+inf')
  for _, same in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], score, score)) do
    if not bytes_before(same, member) then
      first = first + 1
    end
  end
end
return redis.call('ZREVRANGE', KEYS[1], first, first + limit - 1, 'WITHSCORES')
