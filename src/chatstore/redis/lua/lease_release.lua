-- Gives the lease back if it is this holder's.
if redis.call('GET', KEYS[1]) == take() then
  redis.call('DEL', KEYS[1])
end
