-- Returns the bodies of a user's marks (KEYS: bodies, user's), all or those on the given keys.
local every, wanted = take() == '1', {}
for _, name in ipairs(take_list()) do
  wanted[name] = true
end
local bodies = {}
local standing = redis.call('HGETALL', KEYS[2])
for i = 1, #standing, 2 do
  if every or wanted[standing[i + 1]] then
    bodies[#bodies + 1] = redis.call('HGET', KEYS[1], standing[i])
  end
end
return bodies
