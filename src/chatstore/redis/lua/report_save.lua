-- Keeps what a run tells of itself, until it runs out or is told anew; without it, forgets what was told. If the lease
-- (the first key) is to be this holder's and is not, it does nothing and replies 0; else it replies 1.
local fenced, holder, milliseconds, report = take(), take(), take(), take()
if tonumber(fenced) == 1 and redis.call('GET', KEYS[1]) ~= holder then
  return 0
end
if report then
  redis.call('SET', KEYS[2], report, 'PX', milliseconds)
else
  redis.call('DEL', KEYS[2])
end
return 1
